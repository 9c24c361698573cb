"""One part of the house alone, on loopback: the metrics or the logs, for test suites and load generators.

The rooms asked for are built as `build` builds them; every other is `Absent` and says so when it is asked.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.base.ids import SITE_TENANT
from weatherglass.base.time import Clock, SystemClock
from weatherglass.engine import leases
from weatherglass.engine.actions import Actions
from weatherglass.engine.backup import backup
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.files import Files, RealFiles
from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.protocols import Principal, Role
from weatherglass.engine.tables import Tables
from weatherglass.gateway.app import create_app
from weatherglass.gateway.rooms import Absent, Rooms
from weatherglass.house import tokens
from weatherglass.house.costs import Costs
from weatherglass.house.hold import Hold
from weatherglass.house.secrets import Secrets
from weatherglass.house.serve import listen, serve, url_of
from weatherglass.identity import ROOM as IDENTITY
from weatherglass.identity import Identity
from weatherglass.site import load

PARTS = frozenset({"metrics", "logs"})
RETENTION_S = 15 * 86400.0
ENDLESS_S = 9.0e12
"""A retention without end: farther back than any time that is accepted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a part is to run. `gnocchi_auth` is `basic`, `keystone`, `remoteuser` or nothing."""

    parts: frozenset[str]
    state: Path
    no_auth: bool = False
    bare: bool = False
    gnocchi_auth: str = ""
    promql_experimental: bool = False
    syslog: tuple[str, ...] = ()  # `udp:5514`, `tcp:…`, `tls:…`: listened on for the tenant `site`
    site: Path | None = None  # a declaration: its `metrics:` says what is kept of which series
    scrape: Path | None = None  # a file with `scrape_configs`


@dataclass(slots=True)
class Part:
    """What was built of one part: its rooms by their place in `Rooms`, those of `more`, what starts and stops."""

    rooms: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    lives: tuple[Any, ...] = ()  # in the order of their start; each has start() and stop()


@dataclass(frozen=True, slots=True)
class Ground:
    """What every part stands on."""

    asked: Asked
    files: Files
    tables: Tables
    clock: Clock
    bus: LocalBus
    ledger: FileLedger
    secrets: Secrets


def _metrics(ground: Ground) -> Part:
    from weatherglass.house import scraping
    from weatherglass.house.kept import kept_for
    from weatherglass.metrics import Metrics
    from weatherglass.metrics.gnocchi import BARE, Gnocchi, Settings
    from weatherglass.metrics.scrape.scraper import Scraper

    asked = ground.asked
    site = load(asked.site) if asked.site else None
    room = Metrics(
        asked.state / "metrics",
        files=ground.files,
        tables=ground.tables,
        clock=ground.clock,
        policies=lambda tenant: kept_for(site, tenant),
        retention_s=ENDLESS_S if asked.bare else RETENTION_S,
    )
    settings = replace(
        BARE if asked.bare else Settings(),
        auth=asked.gnocchi_auth or "token",
        keystone=os.environ.get("OS_AUTH_URL", ""),
    )
    gnocchi = Gnocchi(tables=ground.tables, store=room, clock=ground.clock, settings=settings)
    scraper = Scraper(room, ground.clock, secret=ground.secrets.existing, heard=room.heard)
    if asked.scrape:
        scraper.configure(scraping.of_file(asked.scrape))
    return Part({"metrics": room}, {"gnocchi": gnocchi, "scrape": scraper}, (room, gnocchi, scraper))


def _logs(ground: Ground) -> Part:
    from weatherglass.logs import Logs
    from weatherglass.logs.registered import Registered

    room = Logs(
        ground.asked.state / "logs",
        files=ground.files,
        tables=ground.tables,
        clock=ground.clock,
        bus=ground.bus,
        limits=lambda tenant: 0,
    )
    lives: list[Any] = [room]
    if ground.asked.syslog:
        from weatherglass.logs.syslog import Syslog, read_address

        addresses = [read_address(one) for one in ground.asked.syslog]
        lives.append(Syslog(SITE_TENANT, addresses, room, ground.clock))
    return Part({"logs": room}, {"registered": Registered(ground.tables)}, tuple(lives))


def _migrations(parts: frozenset[str]) -> dict[str, Any]:
    """The tables of the rooms that run; a part to come adds its own."""
    found: dict[str, Any] = {**leases.ROOM, **IDENTITY}
    if "metrics" in parts:
        from weatherglass.metrics import TABLES
        from weatherglass.metrics.gnocchi import ROOM as GNOCCHI

        found["metrics"] = TABLES
        found.update(GNOCCHI)
    if "logs" in parts:
        from weatherglass.logs.catalogue import ROOM

        found.update(ROOM)
    return found


BUILDERS: dict[str, Callable[[Ground], Part]] = {"metrics": _metrics, "logs": _logs}


class Alone:
    """The rooms of some parts over one state folder. Not started yet; the caller holds the folder's lock."""

    def __init__(self, asked: Asked, clock: Clock | None = None) -> None:
        """Raises Invalid (no such part), Corrupt, Unavailable."""
        if unknown := asked.parts - PARTS:
            raise Invalid(f"{min(unknown)!r} is no part", mend=f"one of {', '.join(sorted(PARTS))}")
        state, self.clock, files = asked.state, clock or SystemClock(), RealFiles()
        self.stopping = threading.Event()
        self.tables = Tables(state / "tables.db")
        self.tables.migrate(_migrations(asked.parts))
        bus = LocalBus()
        self.ledger = FileLedger(state / "ledger", files=files, bus=bus)
        secrets = Secrets(state / "secrets", files)
        self.identity = Identity(self.tables, self.clock, self.ledger, lambda: {})
        ground = Ground(asked, files, self.tables, self.clock, bus, self.ledger, secrets)
        self.parts = [BUILDERS[name](ground) for name in sorted(asked.parts)]
        self._started = False
        rooms: dict[str, Any] = {
            name: Absent(name) for name in ("metrics", "logs", "inventory", "health", "deploy")
        }
        for part in self.parts:
            rooms.update(part.rooms)
        self.rooms = Rooms(
            identity=self.identity,
            **rooms,
            work=Absent("work"),
            ledger=self.ledger,
            bus=bus,
            actions=Actions(),
            clock=self.clock,
            costs=Costs(lambda: 0, lambda: 0),
            state=state,
            stopping=self.stopping,
            site=lambda: None,
            ready=lambda: "" if self._started and not self.stopping.is_set() else "the rooms",
            secret=secrets.existing,
            backup=partial(backup, state),
            more={name: room for part in self.parts for name, room in part.more.items()},
            promql_experimental=asked.promql_experimental,
            anyone=Principal("anyone", Role.ADMIN, ("*",)) if asked.no_auth else None,
        )

    def start(self) -> None:
        """Start the rooms. When this returns, requests may be served."""
        for part in self.parts:
            for room in part.lives:
                room.start()
        self._started = True

    def stop(self) -> None:
        self.stopping.set()
        for part in reversed(self.parts):
            for room in reversed(part.lives):
                room.stop()
        self.ledger.close()
        self.tables.close()


def alone(
    parts: frozenset[str],
    state: Path,
    port: int,
    *,
    no_auth: bool = False,
    bare: bool = False,
    gnocchi_auth: str = "",
    promql_experimental: bool = False,
    syslog: tuple[str, ...] = (),
    site: Path | None = None,
    scrape: Path | None = None,
) -> None:
    """Serve `parts` on 127.0.0.1 until a signal; says `READY http://127.0.0.1:PORT` once requests are answered.

    Without `no_auth` the administrator's token lies in `state/token`. Raises Invalid, Conflict, Corrupt.
    """
    logging.basicConfig(level=logging.WARNING)
    state = state.absolute()
    hold = Hold(state)
    try:
        bound = listen(f"127.0.0.1:{port}")
        house = Alone(
            Asked(parts, state, no_auth, bare, gnocchi_auth, promql_experimental, syslog, site, scrape)
        )
        if not no_auth:
            tokens.admin(house.identity, state)
        app = create_app(house.rooms)
        house.start()

        def serving() -> None:
            hold.announce(url_of(bound), house.clock.now_ns())
            print(f"READY {url_of(bound)}", flush=True)

        try:
            serve(app, bound, house.stopping, serving)
        finally:
            house.stop()
    finally:
        hold.release()
