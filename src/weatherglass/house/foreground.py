"""The whole loop in one foreground process and an agent beside it. What it prints is for a person."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, cast

from weatherglass.base.errors import WeatherglassError
from weatherglass.engine.protocols import Principal
from weatherglass.gateway.app import create_app
from weatherglass.house import tokens
from weatherglass.house.build import House, Options
from weatherglass.house.hold import Hold
from weatherglass.house.local_agent import LocalAgent, arguments
from weatherglass.house.serve import listen as bind
from weatherglass.house.serve import serve, url_of
from weatherglass.portal.app import mount
from weatherglass.site import Site, load

AGENT_GRACE_S = 1.5
"""How long the agent may take to end; what it did not send yet waits in its spool."""


def foreground(site: Path | None, state: Path, listen: str, *, with_agent: bool, deadman: str) -> int:
    """Serve until a signal. Returns the exit code."""
    declared = load(site) if site else None  # what is wrong with it is said before anything is opened
    hold = Hold(state)
    try:
        bound = bind(listen)
        url = url_of(bound)
        agents: list[LocalAgent] = []
        house = House(Options(state, site, deadman), agent_pid=lambda: agents[0].pid if agents else 0)
        admin = tokens.admin(house.identity, state)
        app = create_app(house.rooms)
        mount(app, cast(Any, house.rooms))  # each room writes down only what it needs of the others
        house.start()
        declared = declared or house.site()
        host = _local_host(declared)
        if declared and host:
            tokens.local_agent(house.identity, state, host)
            argv = arguments(url, state, host, declared.name, declared.hosts[host].zone)
            agents += [LocalAgent(argv, state / "agent")] if with_agent else []
        first = threading.Thread(
            target=_first_apply, args=(house, site, url, admin), name="first-apply", daemon=True
        )

        def serving() -> None:
            hold.announce(url, house.clock.now_ns())
            _say(f"portal  {_entrance(house, url, admin)}")
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


def _local_host(site: Site | None) -> str:
    """The host of the site that is this machine: the first whose address is on loopback."""
    hosts = site.hosts.items() if site else ()
    near = [name for name, host in hosts if host.address.startswith("127.") or host.address == "::1"]
    return near[0] if near else ""


def _entrance(house: House, url: str, admin: Principal) -> str:
    """An address that signs in once."""
    return f"{url}/login?ticket={house.identity.login_ticket(admin)}"


def _first_apply(house: House, site: Path | None, url: str, admin: Principal) -> None:
    """Make what is declared so, telling each step; then say READY."""
    began = time.monotonic()
    try:
        under_way = house.deploy.status()["run"]
        if under_way is not None:  # one that a stop had cut short
            _follow(house, under_way)
        if site is not None:
            run = house.deploy.apply(site, who="up", why="the server was started")
            if not _follow(house, run):
                return
    except WeatherglassError as error:
        _say(f"NOT READY: {error}")
        return
    _say(f"READY   {_entrance(house, url, admin)}   ({time.monotonic() - began:.0f} s)")


def _follow(house: House, number: int) -> bool:
    """Print a run's lines as they come; whether it ended well."""
    told = 0
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


def _say(text: str) -> None:
    print(text, flush=True)
