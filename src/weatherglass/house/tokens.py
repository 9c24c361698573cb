"""The tokens that `up` makes for itself: the administrator's beside the state, the local agent's in its folder."""

from __future__ import annotations

from pathlib import Path

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.ids import SITE_TENANT
from weatherglass.engine.protocols import Principal, Role
from weatherglass.identity import Identity


def standing_token(
    identity: Identity, path: Path, name: str, role: Role, tenants: tuple[str, ...], host: str = ""
) -> Principal:
    """The principal of the token kept in `path` (0600); a new token where there is none that holds."""
    if path.exists():
        try:
            return identity.resolve(path.read_text().strip())
        except WeatherglassError:
            path.unlink()
    for one in identity.list():
        if one.name == name:  # its text is lost with the file: it can serve nobody
            identity.revoke(one.id, why="its file is gone")
    _, text = identity.create(name, role, tenants, host=host, why="for the house itself")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text + "\n")
    return identity.resolve(text)


def admin(identity: Identity, state: Path) -> Principal:
    return standing_token(identity, state / "token", "admin", Role.ADMIN, ("*",))


def local_agent(identity: Identity, state: Path, host: str) -> Path:
    """The file of the local agent's token."""
    path = state / "agent" / "token"
    standing_token(identity, path, f"local-agent-{host}", Role.AGENT, (SITE_TENANT,), host)
    return path
