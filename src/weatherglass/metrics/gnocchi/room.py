"""`Gnocchi`: the desks over one ground, and the janitor. Its model is here; samples are the store's."""

from __future__ import annotations

import logging
import threading
from typing import Any

import sqlalchemy as sa

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import Clock
from weatherglass.engine.tables import Tables
from weatherglass.metrics.gnocchi import metrics, policies, registry
from weatherglass.metrics.gnocchi.desks.aggregates import Aggregates
from weatherglass.metrics.gnocchi.desks.ground import Ground, Settings, Store
from weatherglass.metrics.gnocchi.desks.measures import Measures
from weatherglass.metrics.gnocchi.desks.metrics import Metrics
from weatherglass.metrics.gnocchi.desks.policies import Policies, Rules
from weatherglass.metrics.gnocchi.desks.resources import Resources
from weatherglass.metrics.gnocchi.desks.types import Types
from weatherglass.metrics.gnocchi.desks.writes import Writes
from weatherglass.metrics.gnocchi.model import METRIC_LABEL
from weatherglass.metrics.gnocchi.rules import Caller
from weatherglass.metrics.gnocchi.tables import METRICS, RESOURCES
from weatherglass.metrics.types import Matcher

log = logging.getLogger(__name__)


class Gnocchi:
    """Any thread may ask any desk; nothing works before `start`."""

    def __init__(
        self,
        *,
        tables: Tables,
        store: Store,
        clock: Clock,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        ground = self._ground = Ground(tables, store, clock, self.settings)
        self.policies, self.rules, self.types = Policies(ground), Rules(ground), Types(ground)
        self.resources, self.metrics = Resources(ground), Metrics(ground)
        self.measures = Measures(ground)
        self.aggregates = Aggregates(ground, self.resources)
        self.writes = Writes(ground, self.resources, self.measures)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.janitor_failures = 0

    def start(self) -> None:
        """Makes the first policies where there are none, and starts the janitor."""
        if self.settings.defaults:
            self._furnish()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="gnocchi-janitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
        self._thread = None

    def _furnish(self) -> None:
        with self._ground.tables.write() as connection:
            if registry.all_policies(connection):
                return
            for policy in policies.DEFAULTS:
                registry.add_policy(connection, policy)
            registry.add_rule(connection, policies.DEFAULT_RULE)

    def caller(self, **who: Any) -> Caller:
        """Somebody as the rules of this installation see them."""
        return Caller(rules=self.settings.rules, **who)

    def status(self, caller: Caller, *, details: bool) -> dict[str, Any]:
        """What waits to be processed: never anything. What was told of late measures is beside it. Raises Forbidden."""
        caller.enforce("get status", {})
        storage: dict[str, Any] = {"summary": {"metrics": 0, "measures": 0}}
        if details:
            storage["measures_to_process"] = {}
        late = self._ground.late
        told = {"measures": late.stored, "late": late.late, "too_old": late.too_old}
        return {
            "storage": storage,
            "metricd": {"processors": ["weatherglass"], "statistics": {"weatherglass": told}},
        }

    def ping(self) -> None:
        """Raises Unavailable where the tables cannot be read."""
        with self._ground.tables.read() as connection:
            connection.execute(sa.select(METRICS.c.id).limit(1)).first()

    def resource_ids(self) -> list[tuple[str, str]]:
        """(id, type) of every resource that has not ended, for those who know the same things by other names."""
        with self._ground.tables.read() as connection:
            query = sa.select(RESOURCES.c.id, RESOURCES.c.type).where(RESOURCES.c.ended_at.is_(None))
            return [(row.id, row.type) for row in connection.execute(query)]

    # --- the janitor -------------------------------------------------------------------------------------

    def sweep(self) -> int:
        """Takes deleted metrics away for good; how many. The janitor does it by itself."""
        with self._ground.tables.read() as connection:
            gone = metrics.deleted(connection)
        if not gone:
            return 0
        for tenant in sorted({tenant for _, tenant in gone}):
            theirs = [[Matcher(METRIC_LABEL, "=", identity)] for identity, owner in gone if owner == tenant]
            self._ground.store.delete(tenant, theirs)
        with self._ground.tables.write() as connection:
            metrics.expunge(connection, [identity for identity, _ in gone])
        return len(gone)

    def _run(self) -> None:
        while not self._stop.wait(self.settings.janitor_s):
            try:
                while self.sweep() and not self._stop.is_set():
                    pass
            except (OSError, WeatherglassError) as error:
                self.janitor_failures += 1
                log.error("deleted metrics could not be taken away, tried again: %s", error)
