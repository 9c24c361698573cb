"""The house: every room built once, in order, with what it is handed; started, stopped.

The order is that of the arrows in HOUSE: engine, who asks, what is there, what was seen, what is wrong, what acts.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weatherglass.agent.probes import probe
from weatherglass.base.errors import Unavailable
from weatherglass.base.ids import SITE_TENANT
from weatherglass.base.time import Clock, SystemClock
from weatherglass.deploy import store as deploy_store
from weatherglass.deploy.apply import Deploy
from weatherglass.engine import leases
from weatherglass.engine.actions import Actions
from weatherglass.engine.backup import backup
from weatherglass.engine.blobs import Blobs
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.files import RealFiles
from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.protocols import Heartbeat, ProbeResult
from weatherglass.engine.tables import Tables
from weatherglass.engine.work import Queues
from weatherglass.gateway.rooms import Rooms
from weatherglass.health import Health
from weatherglass.house.costs import Costs
from weatherglass.house.secrets import Secrets
from weatherglass.identity import ROOM as IDENTITY
from weatherglass.identity import Identity
from weatherglass.inventory import METADATA as INVENTORY
from weatherglass.inventory import MIGRATIONS as INVENTORY_MIGRATIONS
from weatherglass.inventory import Inventory
from weatherglass.logs import Logs
from weatherglass.logs.catalogue import ROOM as LOGS
from weatherglass.metrics import TABLES as METRICS
from weatherglass.metrics import Metrics, SeriesLimits
from weatherglass.site import Replica, Service, Site, probe_specs

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
        self.tables = Tables(state / "tables.db")
        self.tables.migrate(
            {
                **leases.ROOM,
                **IDENTITY,
                **LOGS,
                "metrics": METRICS,
                "inventory": (INVENTORY, INVENTORY_MIGRATIONS),
                "deploy": (deploy_store.METADATA, deploy_store.MIGRATIONS),
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
            state / "metrics", files=files, tables=self.tables, clock=clock, limits=self._series_limits
        )
        self.logs = Logs(
            state / "logs", files=files, tables=self.tables, clock=clock, bus=self.bus, limits=self._log_limit
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
            samples=self.metrics,
            select=functools.partial(self.metrics.select, SITE_TENANT),
            error_counts=functools.partial(self.logs.error_counts, SITE_TENANT),
            ledger=self.ledger,
            actions=self.actions,
            bus=self.bus,
            clock=clock,
            tables=self.tables,
            site=self.site,
            prober=self._probe,
        )
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
        )

    def site(self) -> Site | None:
        """The site that is declared now."""
        return self._site

    def start(self) -> None:
        """Start the rooms. When this returns, requests may be served."""
        self.metrics.start()
        self.logs.start()
        self.deploy.start()
        self.health.start()
        self._started = True

    def stop(self) -> None:
        """Stop within two seconds; what is acknowledged is on disk already, what runs on the hosts goes on."""
        self.stopping.set()
        for room in (self.health, self.deploy, self.logs, self.metrics):
            room.stop()
        self.work.close()
        self.ledger.close()
        self.tables.close()

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

    def _log_limit(self, tenant: str) -> int:
        declared = self._site.tenants.get(tenant) if self._site else None
        return declared.limits.log_bytes_per_day if declared else 0

    def _on_site(self, site: Site, generation: int) -> None:
        """A new declaration counts: its hosts are told what to probe."""
        self._site = site
        for host in site.hosts:
            self.work.send(host, "probes", {"probes": probe_specs(site, host)})

    def _probe(self, spec: dict[str, Any]) -> ProbeResult:
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


def _folder_bytes(state: Path) -> int:
    """What the stores hold on disk."""
    return sum(
        path.stat().st_size
        for part in ("metrics", "logs", "ledger")
        for path in (state / part).rglob("*")
        if path.is_file()
    )
