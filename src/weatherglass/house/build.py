"""The house: every room built once, in order, with what it is handed; started, stopped.

The order is that of the arrows in docs/architecture.md: engine, who asks, what is there, what was seen, what is wrong, what acts.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from weatherglass.agent.probes import probe
from weatherglass.base.errors import Invalid, Unavailable
from weatherglass.base.ids import SITE_TENANT, EntityId, entity
from weatherglass.base.time import Clock, SystemClock
from weatherglass.deploy import store as deploy_store
from weatherglass.deploy.apply import Deploy
from weatherglass.engine import leases
from weatherglass.engine.actions import Actions
from weatherglass.engine.backup import backup
from weatherglass.engine.blobs import Blobs
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.files import Files, RealFiles
from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.plug import Kit, Room, plugs
from weatherglass.engine.protocols import Heartbeat, ProbeResult
from weatherglass.engine.tables import Tables
from weatherglass.engine.work import Queues
from weatherglass.gateway.rooms import Rooms
from weatherglass.health import DeadMan, Health
from weatherglass.house import scraping
from weatherglass.house.costs import Costs
from weatherglass.house.kept import kept_for
from weatherglass.house.listeners import Listeners
from weatherglass.house.secrets import Secrets
from weatherglass.identity import ROOM as IDENTITY
from weatherglass.identity import Identity
from weatherglass.inventory import METADATA as INVENTORY
from weatherglass.inventory import MIGRATIONS as INVENTORY_MIGRATIONS
from weatherglass.inventory import Inventory
from weatherglass.logs import Logs
from weatherglass.logs.catalogue import ROOM as LOGS
from weatherglass.logs.registered import Registered
from weatherglass.logs.syslog import Syslog
from weatherglass.logs.syslog import read_address as syslog_at
from weatherglass.metrics import TABLES as METRICS
from weatherglass.metrics import Metrics, SeriesLimits
from weatherglass.metrics.dashboards import Dashboards
from weatherglass.metrics.gnocchi import ROOM as GNOCCHI
from weatherglass.metrics.gnocchi import Gnocchi
from weatherglass.metrics.openstack import OpenStack
from weatherglass.metrics.scrape.scraper import Scraper
from weatherglass.metrics.scrape.statsd import Statsd
from weatherglass.metrics.scrape.statsd import read_address as statsd_at
from weatherglass.site import Replica, Service, Site, probe_specs

_LOG = logging.getLogger(__name__)

TICK_S = 0.5
"""How often health looks at its evidence."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a house is run. `site` may be None: the last generation applied is taken up."""

    state: Path
    site: Path | None = None
    deadman: str = ""


class House:
    """All rooms over one state folder. Not started yet; `start`, then `rooms` may be served, then `stop`."""

    def __init__(
        self, options: Options, agent_pid: Callable[[], int] = lambda: 0, clock: Clock | None = None
    ) -> None:
        """Opens the state. Raises Corrupt, Conflict, Unavailable. The caller holds the folder's lock."""
        state, clock = options.state, clock or SystemClock()
        self.options, self.clock, files = options, clock, RealFiles()
        self.stopping = threading.Event()
        self._started = False
        self._site: Site | None = None
        found = plugs()
        self.tables = Tables(state / "tables.db")
        self.tables.migrate(
            {
                **leases.ROOM,
                **IDENTITY,
                **LOGS,
                "metrics": METRICS,
                **GNOCCHI,
                "inventory": (INVENTORY, INVENTORY_MIGRATIONS),
                "deploy": (deploy_store.METADATA, deploy_store.MIGRATIONS),
                **{name: plug.migrations for name, plug in found.items() if plug.migrations},
            }
        )
        self.bus, self.actions = LocalBus(), Actions()
        self.ledger = FileLedger(state / "ledger", files=files, bus=self.bus)
        self.work = Queues(state / "work", files=files)
        self.secrets = Secrets(state / "secrets", files)
        self.identity = Identity(
            self.tables, clock, self.ledger, lambda: self._site.tenants if self._site else {}
        )
        self.inventory = Inventory(self.tables, self.bus, clock)
        self.metrics = Metrics(
            state / "metrics", files=files, tables=self.tables, clock=clock, limits=self._series_limits,
            policies=lambda tenant: kept_for(self._site, tenant),
        )  # fmt: skip
        self.gnocchi = Gnocchi(tables=self.tables, store=self.metrics, clock=clock)
        self.logs = Logs(
            state / "logs",
            files=files,
            tables=self.tables,
            clock=clock,
            bus=self.bus,
            limits=self._log_limit,
            samples=self.metrics,
        )
        (state / "deploy").mkdir(mode=0o700, exist_ok=True)
        self.deploy = Deploy(
            state / "deploy",
            site_path=options.site,
            work=self.work,
            inventory=self.inventory,
            ledger=self.ledger,
            bus=self.bus,
            tables=self.tables,
            blobs=Blobs(state / "deploy" / "blobs", files=files),
            clock=clock,
            actions=self.actions,
            secret=self.secrets.value,
            probe=self._probe_replica,
            on_site=self._on_site,
        )
        self.health = Health(
            inventory=self.inventory,
            site=self.site,
            actions=self.actions,
            ledger=self.ledger,
            clock=clock,
            metrics=self.metrics,
            error_counts=self.logs.error_counts,
            prober=self._probe,
            changing=self._changing,
        )
        self.deadman = (
            DeadMan(options.deadman, _site_name(options), self.health.blind, clock)
            if options.deadman
            else None
        )
        self.listeners = (
            Listeners(
                "syslog", lambda at: Syslog(SITE_TENANT, [syslog_at(one) for one in at], self.logs, clock)
            ),
            Listeners(
                "statsd", lambda at: Statsd(SITE_TENANT, [statsd_at(one) for one in at], self.metrics, clock)
            ),
        )
        self.scraper = Scraper(self.metrics, clock, secret=self.secrets.existing, heard=self.metrics.heard)
        self.openstack = OpenStack(
            state / "openstack", files=files, samples=self.metrics, inventory=self.inventory, clock=clock,
            ledger=self.ledger, tenants=self._projects, resources=self.gnocchi.resource_ids,
        )  # fmt: skip
        self._ticker = threading.Thread(target=self._tick, name="health", daemon=True)
        self.more: dict[str, Room] = {}
        for name, plug in found.items():
            self.more[name] = plug.build(self._kit(name, files))
        self.costs = Costs(agent_pid, lambda: _folder_bytes(state))
        self.rooms = Rooms(
            identity=self.identity,
            metrics=self.metrics,
            logs=self.logs,
            inventory=self.inventory,
            health=_Heard(self.health, self.deploy),
            deploy=self.deploy,
            work=self.work,
            ledger=self.ledger,
            bus=self.bus,
            actions=self.actions,
            clock=clock,
            costs=self.costs,
            state=state,
            stopping=self.stopping,
            site=self.site,
            ready=self._awaited,
            secret=self.secrets.existing,
            backup=functools.partial(backup, state),
            probes=self.health.probes,
            more={
                **self.more,
                "scrape": self.scraper,
                "registered": Registered(self.tables),
                "gnocchi": self.gnocchi,
                "openstack": self.openstack,
                "dashboards": Dashboards(self._dashboard_folders),
            },
        )

    def site(self) -> Site | None:
        """The site that is declared now."""
        return self._site

    def start(self) -> None:
        """Start the rooms. When this returns, requests may be served."""
        self.metrics.start()
        self.gnocchi.start()
        self.logs.start()
        self.deploy.start()
        for room in self.more.values():
            room.start()
        self.scraper.start()
        self.openstack.start()
        self._ticker.start()
        if self.deadman:
            self.deadman.start()
        self._started = True

    def stop(self) -> None:
        """Stop within two seconds; what is acknowledged is on disk already, what runs on the hosts goes on."""
        self.stopping.set()
        if self.deadman:
            self.deadman.stop()
        if self._ticker.ident:
            self._ticker.join(1.0)
        for listener in self.listeners:
            listener.stop()
        self.scraper.stop()
        self.openstack.stop()
        for plugged in self.more.values():
            plugged.stop()
        self.health.stop()
        self.deploy.stop()
        self.logs.stop()
        self.gnocchi.stop()
        self.metrics.stop()
        self.work.close()
        self.ledger.close()
        self.tables.close()

    def _dashboard_folders(self) -> list[Path]:
        """Beside the declaration, and in the state."""
        site = self.deploy.site_path
        beside = [(site if site.is_dir() else site.parent) / "dashboards"] if site else []
        return [*beside, self.options.state / "dashboards"]

    def _tick(self) -> None:
        """Health looks at its evidence. One bad look is told and does not blind the house."""
        while not self.stopping.wait(TICK_S):
            try:
                self.health.tick(self.clock.now_ns())
            except Exception:  # noqa: BLE001 (told; the next look may be better)
                _LOG.exception("health could not judge")
                continue
            if self.deadman:
                self.deadman.beat()

    # --- what rooms are handed ---------------------------------------------------------------------------

    def _awaited(self) -> str:
        if self.stopping.is_set():
            return "stopping"
        return "" if self._started else "the rooms"

    def _series_limits(self, tenant: str) -> SeriesLimits:
        declared = self._site.tenants.get(tenant) if self._site else None
        if declared is None:
            return SeriesLimits()
        return SeriesLimits(series=declared.limits.series, samples_per_s=int(declared.limits.samples_per_s))

    def _projects(self) -> Mapping[str, str]:
        """The tenants that are a project of OpenStack, by its id."""
        tenants = self._site.tenants.values() if self._site else ()
        return {one.project: one.name for one in tenants if one.project}

    def _log_limit(self, tenant: str) -> int:
        declared = self._site.tenants.get(tenant) if self._site else None
        return declared.limits.log_bytes_per_day if declared else 0

    def _kit(self, name: str, files: Files) -> Kit:
        folder = self.options.state / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return Kit(
            folder, files, self.tables, self.clock, self.bus, self.actions, self.ledger, self.work,
            self.metrics, self.logs, self.inventory, self.site, self.secrets.value,
        )  # fmt: skip

    def _on_site(self, site: Site, generation: int) -> None:
        """A new declaration counts: its hosts are told what to probe."""
        self._site = site
        for host in site.hosts:
            self.work.send(host, "probes", {"probes": probe_specs(site, host)})
        try:
            self.scraper.configure(scraping.jobs(site, self.site))
        except Invalid as error:
            # `check` refuses such a site; one that an older version took goes on with the jobs it had.
            _LOG.warning("the site's scrape jobs are not taken up: %s", error)
        for listener in self.listeners:
            listener.on_site(site)
        for room in self.more.values():
            room.on_site(site, generation)

    def _changing(self) -> frozenset[EntityId]:
        """What an apply or a rollback is working on just now, and all that hangs on it."""
        number = self.deploy.status()["run"] if self.deploy.applying() else None
        plan = self.deploy.run(number).plan if number is not None else None
        if not plan:
            return frozenset()
        touched = {EntityId(name) for change in plan["changes"] for name in change["takes_down"]}
        touched |= {entity("replica", change["replica"]) for change in plan["changes"] if change["replica"]}
        graph = self.inventory.graph()
        return frozenset(
            touched.union(*(graph.downstream(name) for name in touched if name in graph.entities))
        )

    def _probe(self, spec: Mapping[str, Any]) -> ProbeResult:
        """A probe from the second vantage point, the server's own."""
        return probe(spec, "server", spec["entity"], self.clock.now_ns(), self.secrets.value)

    def _probe_replica(self, site: Site, service: Service, replica: Replica) -> ProbeResult:
        """A replica's probe, once. Raises Unavailable where it declares none."""
        spec = next((one for one in probe_specs(site) if one["entity"] == replica.entity), None)
        if spec is None:
            raise Unavailable(f"{service.name} declares no probe")
        return self._probe(spec)


class _Heard:
    """Health as the gateway has it: a heartbeat is heard by deploy as well, which acts on what runs."""

    def __init__(self, health: Health, deploy: Deploy) -> None:
        self._health, self._deploy = health, deploy

    def heartbeat(self, beat: Heartbeat, received_ns: int) -> None:
        self._deploy.seen(beat)
        self._health.heartbeat(beat, received_ns)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._health, name)


def _site_name(options: Options) -> str:
    return options.site.stem if options.site else options.state.name


def _folder_bytes(state: Path) -> int:
    """What the stores hold on disk. A segment that is trimmed while it is counted counts as gone."""
    total = 0
    for part in ("metrics", "logs", "ledger"):
        for path in (state / part).rglob("*"):
            with suppress(FileNotFoundError):
                seen = path.stat()
                total += seen.st_size if S_ISREG(seen.st_mode) else 0
    return total
