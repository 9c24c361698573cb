"""Metrics as charts: which query shows what of which kind of entity, and how an answer becomes a Chart.

A query that cannot be answered is said in the chart's place; a page never fails for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.ids import SITE_TENANT, kind_of, name_of
from weatherglass.base.time import MS_NS, SECOND_NS
from weatherglass.portal.charts import Chart, Line, nice_step
from weatherglass.portal.kit import Visit

LINES_AT_MOST = 40
"""More lines than this tell nothing; the table has them all."""


class Panel(NamedTuple):
    """One chart that is worth seeing for a kind of entity; `{name}` is put in as a label's value."""

    title: str
    unit: str
    query: str


PANELS: dict[str, tuple[Panel, ...]] = {
    "service": (
        Panel("Probe time", "s", 'max by (vantage) (weatherglass_probe_seconds{{service="{name}"}})'),
        Panel(
            "Probes failed",
            "share",
            '1 - avg by (vantage) (avg_over_time(weatherglass_probe_success{{service="{name}"}}[1m]))',
        ),
        Panel(
            "Memory of its replicas",
            "B",
            'sum by (replica) (weatherglass_replica_memory_bytes{{service="{name}"}})',
        ),
    ),
    "replica": (
        Panel("Probe time", "s", 'max by (vantage) (weatherglass_probe_seconds{{replica="{name}"}})'),
        Panel("CPU, cores", "", 'rate(weatherglass_replica_cpu_seconds_total{{replica="{name}"}}[1m])'),
        Panel("Memory", "B", 'weatherglass_replica_memory_bytes{{replica="{name}"}}'),
    ),
    "host": (
        Panel("Load, 1 min", "", 'node_load1{{host="{name}"}}'),
        Panel("Memory free", "B", 'node_memory_MemAvailable_bytes{{host="{name}"}}'),
        Panel(
            "Stalled on disk (PSI)",
            "share",
            'rate(node_pressure_io_waiting_seconds_total{{host="{name}"}}[1m])',
        ),
    ),
    "volume": (Panel("In use", "share", 'weatherglass_volume_used_share{{volume="{name}"}}'),),
    "tenant": (
        Panel("Probe time", "s", 'max(weatherglass_probe_seconds{{entity="tenant/{name}"}})'),
        Panel(
            "Probes failed",
            "share",
            '1 - avg(avg_over_time(weatherglass_probe_success{{entity="tenant/{name}"}}[1m]))',
        ),
    ),
}

SERVICE_P95 = "max by (service) (quantile_over_time(0.95, weatherglass_probe_seconds[5m]))"
SERVICE_ERRORS = "1 - avg by (service) (avg_over_time(weatherglass_probe_success[5m]))"
SERVICE_TIMES = "avg by (service) (weatherglass_probe_seconds)"


def label_value(text: str) -> str:
    """Text as it may stand between PromQL's double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def panels(entity: str) -> list[Panel]:
    """The charts of an entity's kind, with its name put in."""
    name = label_value(name_of(entity))
    return [
        Panel(panel.title, panel.unit, panel.query.format(name=name))
        for panel in PANELS.get(kind_of(entity), ())
    ]


def by_label(visit: Visit, expr: str, label: str) -> dict[str, float]:
    """An instant vector as label's value → value; empty when it cannot be had."""
    try:
        result = visit.rooms.metrics.query(visit.lens.partition, expr, visit.now_ns // MS_NS)
    except WeatherglassError:
        return {}
    found: dict[str, float] = {}
    for i, series in enumerate(result.series):
        if result.present[i][-1]:
            found[dict(series).get(label, "")] = float(result.values[i][-1])
    return found


def shapes(
    visit: Visit, expr: str, label: str, seconds: float = 3600, points: int = 48
) -> dict[str, list[float | None]]:
    """A range query as label's value → values, for sparklines."""
    end_ms = visit.now_ns // MS_NS
    start_ms = visit.since(visit.now_ns - int(seconds * SECOND_NS)) // MS_NS
    step_ms = max(1000, (end_ms - start_ms) // points)
    try:
        result = visit.rooms.metrics.query_range(visit.lens.partition, expr, start_ms, end_ms, step_ms)
    except WeatherglassError:
        return {}
    return {
        dict(series).get(label, ""): values
        for series, values in zip(result.series, rows(result), strict=True)
    }


def drawable(result: Any) -> Any:
    """The result without its native histograms: a cell of one has no number to draw."""
    if result.histograms is None:
        return result
    floats = [[cell is None for cell in row] for row in result.histograms.tolist()]
    return replace(result, present=result.present & np.array(floats, bool).reshape(result.present.shape))


def rows(result: Any) -> list[list[float | None]]:
    """The values of a QueryResult, None where there is none (a NaN draws nothing either, nor does a histogram)."""
    result = drawable(result)
    return [
        [float(v) if p and v == v else None for v, p in zip(values, present, strict=True)]
        for values, present in zip(result.values.tolist(), result.present.tolist(), strict=True)
    ]


def chart(
    visit: Visit,
    title: str,
    unit: str,
    expr: str,
    start_ns: int,
    end_ns: int,
    *,
    threshold: float | None = None,
    marks: tuple[tuple[float, str], ...] = (),
    note: str = "",
    state: str = "accent",
    points: int = 120,
    partition: str = SITE_TENANT,
) -> Chart:
    """A query over a span as a Chart; what went wrong stands in `problem`.

    What the house measures of anyone lies in the site's partition. A tenant's own question is asked of `partition`;
    for a tenant's page only queries of PANELS are asked here, whose answers carry no label of anyone else.
    """
    step = nice_step((end_ns - start_ns) / SECOND_NS, points)
    start_ms = start_ns // MS_NS // (step * 1000) * step * 1000
    frame: dict[str, Any] = {
        "title": title,
        "unit": unit,
        "threshold": threshold,
        "marks": marks,
        "query": expr,
        "note": note,
        "state": state,
        "start": start_ns / SECOND_NS,
        "end": end_ns / SECOND_NS,
    }
    try:
        result = visit.rooms.metrics.query_range(partition, expr, start_ms, end_ns // MS_NS, step * 1000)
    except WeatherglassError as error:
        return Chart(
            times=(),
            lines=(),
            problem=f"{error.message}" + (f" ({error.mend})" if error.mend else ""),
            **frame,
        )
    labels = [dict(series) for series in result.series]
    lines = tuple(
        Line(label, tuple(values))
        for label, values in zip(legends(labels)[:LINES_AT_MOST], rows(result), strict=False)
    )
    return Chart(times=tuple(t / 1000 for t in result.times_ms.tolist()), lines=lines, **frame)


def first_ns(visit: Visit, drawn: Chart) -> int:
    """Where a chart had better begin: later by the stretch before the house began, where nothing lies in it."""
    start_ns = int(drawn.start * SECOND_NS)
    began_ns = visit.since(start_ns)
    if drawn.empty or began_ns == start_ns:
        return start_ns
    first = next(
        t for i, t in enumerate(drawn.times) if any(line.values[i] is not None for line in drawn.lines)
    )
    return max(start_ns, min(int(first * SECOND_NS), began_ns))


def legends(every: Sequence[Mapping[str, str]]) -> list[str]:
    """What tells each series from its neighbours: the labels that differ, or its whole name when alone."""
    first = every[0] if every else {}
    names = {name for one in every for name in one}
    differing = {k for k in names if any(other.get(k) != first.get(k) for other in every)}
    found = []
    for own in every:
        shown = [k for k in own if k in differing] or [k for k in own if k != "__name__"]
        text = ", ".join(
            f"{own[k]}" if len(shown) == 1 else f"{k}={own[k]}" for k in sorted(shown) if k != "__name__"
        )
        found.append(text or own.get("__name__", "value"))
    return found


def series_name(labels: Mapping[str, str]) -> str:
    """`name{label="value"}` as PromQL writes it."""
    inner = ", ".join(f'{k}="{label_value(v)}"' for k, v in sorted(labels.items()) if k != "__name__")
    return labels.get("__name__", "") + (f"{{{inner}}}" if inner or "__name__" not in labels else "")
