"""`weatherglass up`: the whole loop in one foreground process and an agent beside it. What it prints is for a person."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import httpx

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.house.hold import Hold, server_of
from weatherglass.house.local_agent import LocalAgent

PARTS = ("server", "agent")
_DETACH_WAIT_S = 60.0
AGENT_GRACE_S = 1.5
"""How long the agent may take to end; what it did not send yet waits in its spool."""


def run(
    site: Path | None,
    state: Path,
    listen: str,
    only: tuple[str, ...] = (),
    detach: bool = False,
    deadman: str = "",
) -> int:
    """Run the house in the foreground, or start it and come back (`detach`). Returns the exit code.

    `deadman` is a webhook that is told every 30 s that the house is alive, or what it cannot see. Raises Invalid
    (the declaration, the address), Conflict (another server holds the state).
    """
    unknown = set(only) - set(PARTS)
    if unknown:
        raise Invalid(f"{min(unknown)!r} is not a part", where="--only", mend=f"one of {', '.join(PARTS)}")
    begin = _detached if detach else _foreground
    return begin(site, state, listen, only, deadman)


def _foreground(site: Path | None, state: Path, listen: str, only: tuple[str, ...], deadman: str) -> int:
    from weatherglass.gateway.app import create_app
    from weatherglass.house import tokens
    from weatherglass.house.build import House, Options
    from weatherglass.house.serve import listen as bind
    from weatherglass.house.serve import serve, url_of
    from weatherglass.portal.app import mount
    from weatherglass.site import load

    declared = load(site) if site else None  # what is wrong with it is said before anything is opened
    hold = Hold(state)
    try:
        bound = bind(listen)
        url = url_of(bound)
        agents: list[LocalAgent] = []
        house = House(Options(state, site, deadman), agent_pid=lambda: agents[0].pid if agents else 0)
        admin = tokens.admin(house.identity, state)
        host = _local_host(declared or house.deploy.site())
        if host and (not only or "agent" in only):
            token = tokens.local_agent(house.identity, state, host)
            (state / "agent" / "host").write_text(host)  # `down` works without a server
            agents.append(LocalAgent(_agent_arguments(url, token, state, host, declared), state / "agent"))
        app = create_app(house.rooms)
        mount(app, cast(Any, house.rooms))  # each room writes down only what it needs of the others
        house.start()
        first = threading.Thread(
            target=_first_apply, args=(house, site, url, admin), name="first-apply", daemon=True
        )

        def serving() -> None:
            hold.announce(url, house.clock.now_ns())
            ticket = house.identity.login_ticket(admin)
            _say(f"portal  {url}/login?ticket={ticket}")
            for agent in agents:
                agent.start()
            first.start()
            parting.start()

        def part() -> None:
            house.stopping.wait()
            for agent in agents:
                agent.stop(AGENT_GRACE_S)

        # Agents end while the last requests do: one after the other would take the sum of their times.
        parting = threading.Thread(target=part, name="parting", daemon=True)
        try:
            serve(app, bound, house.stopping, serving)
        finally:
            house.stop()
            for agent in agents:
                agent.stop(AGENT_GRACE_S)
        _say(f"stopped; services keep running. To stop them too: weatherglass down --state {state}")
    finally:
        hold.release()
    return 0


def _local_host(site: object) -> str:
    """The host of the site that is this machine: the only one, or the one on loopback."""
    hosts = getattr(site, "hosts", {})
    near = [name for name, host in hosts.items() if host.address.startswith("127.") or host.address == "::1"]
    return near[0] if near else ""


def _agent_arguments(url: str, token: Path, state: Path, host: str, site: object) -> list[str]:
    arguments = ["--server", url, "--token-file", str(token), "--state", str(state / "agent"), "--host", host]
    if site is not None:
        zone = site.hosts[host].zone  # type: ignore[attr-defined]
        arguments += ["--site", site.name, *(["--zone", zone] if zone else [])]  # type: ignore[attr-defined]
    return arguments


def _first_apply(house: object, site: Path | None, url: str, admin: object) -> None:
    """Make what is declared so, telling each step; then say READY."""
    from weatherglass.house.build import House

    assert isinstance(house, House)
    began = time.monotonic()
    try:
        under_way = house.deploy.status()["run"]
        if under_way is not None:  # one that a stop had cut short
            _follow(house, under_way)
        if site is not None and not _follow(
            house, house.deploy.apply(site, who="up", why="the server was started")
        ):
            return
    except WeatherglassError as error:
        _say(f"NOT READY: {error}")
        return
    ticket = house.identity.login_ticket(admin)  # type: ignore[arg-type]
    _say(f"READY   {url}/login?ticket={ticket}   ({time.monotonic() - began:.0f} s)")


def _follow(house: object, number: int) -> bool:
    """Print a run's lines as they come; whether it ended well."""
    from weatherglass.house.build import House

    assert isinstance(house, House)
    told = 0.0
    while not house.stopping.is_set():
        view = house.deploy.run(number)
        for item in view.items:
            if item.at_ns > told:
                told = item.at_ns
                _say(f"{view.fraction:4.0%}    {item.text}")
        if view.state != "running":
            if view.state != "done":
                _say(f"NOT READY: {view.error}\n  → {view.mend}")
            return view.state == "done"
        time.sleep(0.2)
    return False


def _detached(site: Path | None, state: Path, listen: str, only: tuple[str, ...], deadman: str) -> int:
    """Start the same in the background and wait until it answers."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv = [sys.executable, "-m", "weatherglass", "up", *([str(site)] if site else [])]
    argv += ["--state", str(state), "--listen", listen, *(f"--only={part}" for part in only)]
    argv += ["--deadman", deadman] if deadman else []
    with (state / "server.log").open("ab") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=os.environ
        )
    until = time.monotonic() + _DETACH_WAIT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Invalid(
                f"it ended at once (exit code {process.returncode})", where=str(state / "server.log")
            )
        server = server_of(state)
        if server and server.get("pid") == process.pid:
            try:
                if httpx.get(f"{server['url']}/-/ready", timeout=1).status_code == 200:
                    _say(f"running  {server['url']}  (pid {process.pid}, log {state / 'server.log'})")
                    return 0
            except httpx.HTTPError:
                pass
        time.sleep(0.1)
    raise Invalid("it does not answer yet", where=str(state / "server.log"), mend="look into that log")


def _say(text: str) -> None:
    print(text, flush=True)
