"""Fake metrics: made-up series that rise when the fake incident begins. Logs are in `made_logs`, a real store.

FakeMetrics reads just enough of a query (one metric, its `=` matchers, one `by`) to draw a believable answer.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.base.time import SECOND_NS, parse_iso
from weatherglass.metrics.births import Count
from weatherglass.metrics.cardinality import Cardinality
from weatherglass.metrics.promql import parse
from weatherglass.metrics.types import QueryResult
from weatherglass.site.graph import Graph

ONSET_S = parse_iso("2026-11-22T14:02:09") / SECOND_NS
NOW_S = parse_iso("2026-11-22T14:10:20") / SECOND_NS
SLOWED = {"mariadb": (0.004, 3.0), "keystone": (0.061, 2.9), "glance": (0.08, 1.1)}
NAMES = [
    "node_load1",
    "node_memory_MemAvailable_bytes",
    "node_cpu_seconds_total",
    "node_disk_io_time_seconds_total",
    "node_filesystem_avail_bytes",
    "node_network_receive_bytes_total",
    "node_pressure_io_waiting_seconds_total",
    "weatherglass_probe_success",
    "weatherglass_probe_seconds",
    "weatherglass_replica_cpu_seconds_total",
    "weatherglass_replica_memory_bytes",
    "weatherglass_volume_used_share",
    "weatherglass_volume_size_bytes",
    "weatherglass_log_events_total",
    "weatherglass_agent_spool_bytes",
]


class FakeMetrics:
    def __init__(self, web: Graph, filled: bool) -> None:
        self.filled = filled
        names: dict[str, list[str]] = defaultdict(list)
        for entity in web.entities.values():
            names[entity.kind].append(entity.name)
        self.universe = {kind: found[:300] for kind, found in names.items()}

    def cardinality(self, tenant: str, top: int = 10) -> Cardinality:
        if not self.filled:
            return Cardinality()
        return Cardinality(
            series=81_204, pairs=1_932, limit=100_000, new=12_400, new_s=3300.0,
            by_metric=[Count("http_requests_total", 41_000), Count("up", 42)],
            by_label=[Count("request_id", 40_960), Count("host", 31)],
            by_pair=[Count('__name__=http_requests_total', 41_000), Count('path=/v3/"x"', 9)],
            new_by_metric=[Count("http_requests_total", 12_400)],
            new_by_label=[Count("request_id", 12_400)],
            blame="12400 of 81204 series are new: the label request_id has 12400 values among them.",
        )  # fmt: skip

    def _series(self, metric: str, matchers: Mapping[str, str]) -> list[dict[str, str]]:
        kind = (
            "volume"
            if "volume" in metric
            else "replica"
            if "_replica_" in metric
            else "host"
            if metric.startswith("node_")
            else ""
        )
        if not kind:
            kind = next((k for k in ("replica",) if k in matchers), "service")
        found = []
        if "entity" in matchers:
            return [{"__name__": metric, "entity": matchers["entity"], "vantage": "server"}]
        for name in self.universe.get(kind, []):
            labels = {"__name__": metric, kind: name}
            if kind == "replica":
                labels["service"] = name.rpartition("@")[0].rpartition(".")[0]
            for vantage in ("host/ctl-2", "server") if "probe" in metric else ("",):
                one = {**labels, "vantage": vantage} if vantage else labels
                if all(one.get(k) == v for k, v in matchers.items() if k != "level"):
                    found.append(one)
        return found

    def _values(self, metric: str, labels: Mapping[str, str], times_s: Sequence[float]) -> Any:
        kinds = ("service", "replica", "entity", "host", "volume")
        key = next((labels[k] for k in kinds if labels.get(k)), "")
        seed = zlib.crc32(f"{metric}{key}{labels.get('vantage', '')}".encode())
        noise, t = np.random.default_rng(seed), np.array(times_s)
        service = labels.get("service", "")
        calm, peak = SLOWED.get(service, (noise.uniform(0.002, 0.09), 0.0))
        risen = np.where(t > ONSET_S, 1 - np.exp(-np.maximum(0, t - ONSET_S) / 40), 0.0)
        if metric == "weatherglass_probe_seconds":
            return np.maximum(
                0.0005, calm * noise.normal(1, 0.09, len(t)) + (peak - calm if peak else 0) * risen
            )
        if metric == "weatherglass_probe_success":
            worst = service == "mariadb" or labels.get("entity") == "tenant/genomics"
            return 1 - (0.9 if worst else 0.2 if peak else 0) * risen
        if metric == "weatherglass_volume_used_share":
            return 0.963 - (NOW_S - t) * 1.9e9 / 3600 / 400e9
        if metric.endswith("_bytes"):
            return noise.normal(1, 0.01, len(t)) * (2.4e8 if "replica" in metric else 2.1e10)
        if metric == "weatherglass_log_events_total":
            return 0.02 + 0.6 * risen
        return np.abs(noise.normal(0.6, 0.07, len(t)))

    def query_range(
        self, tenant: str, expr: str, start_ms: int, end_ms: int, step_ms: int, query: Any = None
    ) -> QueryResult:
        if expr.count("(") != expr.count(")") or "{{" in expr:
            raise Invalid(
                "a closing parenthesis is missing", where=f"1:{len(expr) + 1}", mend="close what was opened"
            )
        if query is not None:
            query.trace.samples = 240
            with query.trace.node(parse(expr)) as seen:
                seen.series, seen.steps, seen.samples = 3, 80, 240
        metric = next(iter(re.findall(r"\b(?:node|weatherglass)_\w+", expr)), "")
        matchers = dict(re.findall(r'(\w+)="([^"]*)"', expr))
        by = next(iter(re.findall(r"by \((\w+)\)", expr)), "")
        times = list(range(start_ms, end_ms + 1, step_ms))
        seconds = [t / 1000 for t in times]
        every = self._series(metric, matchers) if metric and self.filled else []
        groups: dict[str, list[dict[str, str]]] = defaultdict(list)
        aggregated = bool(re.match(r"\s*(1 - )?(sum|avg|max|min|count)\b", expr)) or "1 - " in expr
        for i, labels in enumerate(every):
            groups[labels.get(by, "") if aggregated else str(i)].append(labels)
        series, rows = [], []
        for key, members in groups.items():
            values = self._values(metric, members[0], seconds)
            if expr.strip().startswith("1 - "):
                values = 1 - values
            series.append(((by, key),) if by else (() if aggregated else tuple(sorted(members[0].items()))))
            rows.append(values)
        matrix = np.array(rows) if rows else np.empty((0, len(times)))
        present = np.ones(matrix.shape, dtype=bool)
        if len(times) > 30 and metric == "node_load1":
            present[:, 20:26] = False
        return QueryResult("matrix", series, np.array(times, dtype=np.int64), matrix, present)

    def query(self, tenant: str, expr: str, at_ms: int) -> QueryResult:
        return self.query_range(tenant, expr, at_ms, at_ms, 1000)

    def label_values(self, tenant: str, name: str, *args: Any) -> list[str]:
        if not self.filled:
            return []
        return list(NAMES) if name == "__name__" else sorted(self.universe.get(name, []))

    def label_names(self, tenant: str, *args: Any) -> list[str]:
        return (
            ["__name__", "entity", "host", "replica", "service", "vantage", "volume"] if self.filled else []
        )

    def exemplars(self, tenant: str, matchers_list: Any, start_ms: int, end_ms: int) -> list[Any]:
        return []

    def metadata(self, tenant: str) -> dict[str, Any]:
        return (
            {"node_load1": [{"type": "gauge", "help": "1 minute load average.", "unit": ""}]}
            if self.filled
            else {}
        )

    def stats(self) -> dict[str, Any]:
        return (
            {"series": 212_400, "samples": 81_000_000, "lag_s": 1.2, "bytes": 3.1e9}
            if self.filled
            else {"series": 0, "samples": 0}
        )
