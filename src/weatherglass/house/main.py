"""`weatherglass up`: which way it is run. The parts are imported when they are needed: a check of words costs nothing."""

from __future__ import annotations

from pathlib import Path

from weatherglass.base.errors import Invalid

PARTS = ("server", "agent")


def run(
    site: Path | None,
    state: Path,
    listen: str,
    only: tuple[str, ...] = (),
    detach: bool = False,
    deadman: str = "",
) -> int:
    """Run the house in the foreground, or start it and come back (`detach`). Returns the exit code.

    `only` names parts: `server` without its agent, or the local `agent` beside a server of the same state.
    `deadman` is a webhook that is told every 30 s that the house is alive, or what it cannot see. Raises Invalid
    (the declaration, the address), Conflict (another server holds the state), NotFound (no server for the agent).
    """
    state = state.absolute()  # agents and the tools they run have working folders of their own
    unknown = set(only) - set(PARTS)
    if unknown:
        raise Invalid(f"{min(unknown)!r} is not a part", where="--only", mend=f"one of {', '.join(PARTS)}")
    if detach:
        from weatherglass.house.detached import detached

        return detached(site, state, listen, only, deadman)
    if set(only) == {"agent"}:
        from weatherglass.house.local_agent import alone

        alone(state)
    from weatherglass.house.foreground import foreground

    return foreground(site, state, listen, with_agent=not only or "agent" in only, deadman=deadman)
