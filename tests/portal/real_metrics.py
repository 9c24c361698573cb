"""A real store of metrics for the fake institute: an hour of a counter and a gauge of three hosts, every 15 s."""

from __future__ import annotations

from pathlib import Path

from portal.fake_cloud import NOW
from weatherglass.base.time import MS_NS, ManualClock
from weatherglass.engine.files import RealFiles
from weatherglass.engine.protocols import Samples
from weatherglass.engine.tables import Tables
from weatherglass.metrics import TABLES, Metrics
from weatherglass.metrics.gnocchi import ROOM as GNOCCHI

HOSTS = ("ctl-1", "ctl-2", "ctl-3")
NOW_MS = NOW // MS_NS


def opened(folder: Path, tenant: str = "site") -> tuple[Metrics, Tables]:
    """A started store with its hour of samples; the caller stops and closes them."""
    tables = Tables(folder / "tables.db")
    tables.migrate({"metrics": TABLES, **GNOCCHI})
    clock = ManualClock(NOW)
    metrics = Metrics(folder / "metrics", files=RealFiles(), tables=tables, clock=clock)
    metrics.start()
    times = [NOW_MS - (240 - at) * 15_000 for at in range(241)]
    series, values = [], []
    for i, host in enumerate(HOSTS):
        common = (("host", host), ("zone", f"rack-{i % 2}"))
        series += [(("__name__", "jobs_done_total"), *common), (("__name__", "queue_seconds"), *common)]
        values += [[at * (i + 1.0) for at in range(241)], [0.5 + i + at % 4 for at in range(241)]]
    metrics.append(tenant, Samples(series, [times] * len(series), values))
    return metrics, tables
