"""From a panel to what stands in its place: queries asked through the lens, answers formed for its kind.

A panel that cannot be answered says so; a page never fails for one. Values come in the panel's unit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import MS_NS, SECOND_NS
from weatherglass.metrics.dashboards import (
    ALL,
    Dashboard,
    Panel,
    Query,
    Span,
    choose,
    fill,
    read_query,
    sifted,
)
from weatherglass.metrics.dashboards.model import Variable
from weatherglass.portal import signals
from weatherglass.portal.charts import Chart, Line, Value, nice_step
from weatherglass.portal.dashboards.heat import Heat, heat
from weatherglass.portal.dashboards.lines import Lines, lines
from weatherglass.portal.kit import Visit

POINTS = 160
BARS_AT_MOST = 30
ROWS_AT_MOST = 100
BUDGET_S = 5.0
"""A page asks no more once its panels took so long together."""
QUERY_S = 3.0


class Figure(NamedTuple):
    """One number of a stat, a gauge or a bar: `share` is its place between the panel's least and most."""

    label: str
    value: Value
    state: str
    share: float


class Table(NamedTuple):
    """The columns of labels, those of values, and the rows: (labels, values)."""

    labels: list[str]
    values: list[str]
    rows: list[tuple[list[str], list[Value]]]
    more: int


class Shown(NamedTuple):
    """A panel with its answer; of the last six only what its kind asks for is there."""

    panel: Panel
    title: str
    queries: tuple[str, ...]
    told: tuple[str, ...]
    problem: str = ""
    chart: Chart | None = None
    figures: tuple[Figure, ...] = ()
    table: Table | None = None
    heat: Heat | None = None
    lines: Lines | None = None


class Series(NamedTuple):
    """One series of an answer: which query gave it, its name, labels and values."""

    query: int
    name: str
    labels: dict[str, str]
    values: tuple[Value, ...]


class Choice(NamedTuple):
    """A variable on the page: what there is, and what counts now."""

    variable: Variable
    every: list[str]
    chosen: list[str]
    problem: str = ""


class Showing:
    """One visit's look at one dashboard over one span."""

    def __init__(
        self,
        visit: Visit,
        dashboard: Dashboard,
        start_ns: int,
        end_ns: int,
        asked: Mapping[str, Sequence[str]],
    ) -> None:
        self._visit, self._dashboard = visit, dashboard
        self._start_ns, self._end_ns = start_ns, end_ns
        self.step_s = nice_step((end_ns - start_ns) / SECOND_NS, POINTS)
        self._span = Span(start_ns // MS_NS, end_ns // MS_NS, self.step_s * 1000)
        self._began = time.monotonic()
        self.choices: list[Choice] = []
        for variable in dashboard.variables:
            every, problem = self._values(variable)
            chosen = choose(variable, asked.get(variable.name, ()), every)
            self.choices.append(Choice(variable, every, chosen, problem))

    # --- variables ---

    @property
    def _chosen(self) -> dict[str, list[str]]:
        return {one.variable.name: one.chosen for one in self.choices}

    @property
    def _every(self) -> dict[str, list[str]]:
        return {one.variable.name: one.every for one in self.choices}

    def _fill(self, text: str, how: str = "") -> tuple[str, tuple[str, ...]]:
        """Variables that come later on the page are not known yet to those before."""
        known = [one.variable for one in self.choices]
        filled = fill(text, known, self._chosen, self._every, self._span, how)
        return filled.text, filled.unknown

    def _values(self, variable: Variable) -> tuple[list[str], str]:
        """All values of a variable, and what went wrong."""
        if variable.kind != "query":
            return list(variable.values), ""
        ask = read_query(variable.query)
        if ask is None:
            return [], f"{variable.query!r} is no query for values"
        try:
            return sifted(self._asked_for(ask.kind, self._fill(ask.expr)[0], ask.name), variable.regex), ""
        except WeatherglassError as error:
            return [], error.message

    def _asked_for(self, kind: str, expr: str, name: str) -> list[str]:
        from weatherglass.metrics.promql import parse

        room, tenant = self._visit.rooms.metrics, self._visit.lens.partition
        if kind == "query_result":
            found = room.query(tenant, expr, self._end_ns // MS_NS)
            return [
                f"{signals.series_name(dict(labels))} {values[-1]:g}"
                for labels, values, present in zip(found.series, found.values, found.present, strict=True)
                if present[-1]
            ]
        if kind == "metrics":
            return [one for one in room.label_values(tenant, "__name__") if re.search(name, one)]
        narrowed: tuple[Any, ...] = ()
        if expr:
            matchers = getattr(parse(expr), "matchers", ())
            narrowed = ([list(matchers)], self._start_ns // MS_NS, self._end_ns // MS_NS)
        if kind == "label_names":
            return list(room.label_names(tenant, *narrowed))
        return list(room.label_values(tenant, name, *narrowed))

    # --- panels ---

    def show(self, panel: Panel) -> Shown:
        told = list(panel.told)
        if panel.stacked and panel.kind == "timeseries":
            told.append("drawn as lines, not stacked")
        title, queries = self._fill(panel.title, "text")[0], []
        for query in panel.queries:
            text, unknown = self._fill(query.expr)
            queries.append(query._replace(expr=text))
            told += [f"there is no variable ${name}" for name in unknown]
        shown = Shown(panel, title, tuple(one.expr for one in queries), tuple(dict.fromkeys(told)))
        if panel.kind in ("text", "unknown") or not queries:
            return shown
        if time.monotonic() - self._began > BUDGET_S:
            return shown._replace(
                problem="Not asked: the panels before took too long. Choose a shorter range."
            )
        if panel.kind == "logs":
            try:
                found = lines(self._visit, title, queries[0].expr, self._start_ns, self._end_ns)
            except WeatherglassError as error:
                return shown._replace(problem=error.message + (f" ({error.mend})" if error.mend else ""))
            return shown._replace(lines=found)
        over_span = panel.kind in ("timeseries", "heatmap") or panel.calculation != "last"
        try:
            times, series = self._ask(queries, over_span, panel.scale)
        except WeatherglassError as error:
            return shown._replace(problem=error.message + (f" ({error.mend})" if error.mend else ""))
        if panel.kind == "timeseries":
            return shown._replace(chart=self._chart(shown, times, series))
        if panel.kind == "heatmap":
            return shown._replace(heat=heat([(one.labels, one.values) for one in series]))
        if panel.kind == "table":
            return shown._replace(table=_table(panel, series))
        return shown._replace(figures=_figures(panel, series))

    def _ask(
        self, queries: Sequence[Query], over_span: bool, scale: float
    ) -> tuple[tuple[float, ...], list[Series]]:
        from weatherglass.metrics.promql import Options
        from weatherglass.metrics.promql import Query as Asked

        room, tenant = self._visit.rooms.metrics, self._visit.lens.partition
        step_ms, end_ms = self.step_s * 1000, self._end_ns // MS_NS
        start_ms = self._start_ns // MS_NS // step_ms * step_ms
        times: tuple[float, ...] = (
            tuple(t / 1000 for t in range(start_ms, end_ms + 1, step_ms)) if over_span else ()
        )
        found: list[Series] = []
        for number, query in enumerate(queries):
            if over_span:
                bounds = Asked(start_ms, end_ms, step_ms, Options(timeout_s=QUERY_S))
                result = room.query_range(tenant, query.expr, start_ms, end_ms, step_ms, query=bounds)
            else:
                result = room.query(tenant, query.expr, end_ms)
            every = [dict(labels) for labels in result.series]
            others = signals.legends(every)
            for labels, other, values in zip(every, others, signals.rows(result), strict=True):
                scaled = tuple(None if v is None else v * scale for v in values)
                found.append(Series(number, named(query.legend, labels, other), labels, scaled))
        return times, found

    def _chart(self, shown: Shown, times: tuple[float, ...], series: Sequence[Series]) -> Chart:
        panel = shown.panel
        limit = next((t.at for t in panel.thresholds if t.at is not None and t.state != "healthy"), None)
        lines = [Line(one.name, one.values) for one in series[: signals.LINES_AT_MOST]]
        more = len(series) - len(lines)
        return Chart(
            shown.title, panel.unit, times, tuple(lines), threshold=limit, query=shown.queries[0],
            note=f"{more} more series not drawn" if more > 0 else "",
            start=self._start_ns / SECOND_NS, end=self._end_ns / SECOND_NS,
        )  # fmt: skip


_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def named(legend: str, labels: Mapping[str, str], otherwise: str) -> str:
    """A series' name: the legend with its labels put in, else what tells it from its neighbours."""
    return _LABEL.sub(lambda form: labels.get(form[1], ""), legend).strip() or otherwise


def reduced(values: Sequence[Value], calculation: str) -> Value:
    """A span as one number; None where there is nothing in it."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    match calculation:
        case "mean":
            return sum(known) / len(known)
        case "least":
            return min(known)
        case "most":
            return max(known)
        case "sum":
            return sum(known)
        case "first":
            return known[0]
    return known[-1]


def state_of(panel: Panel, value: Value) -> str:
    """What the panel's thresholds call a value; empty without any."""
    if value is None:
        return ""
    reached = [one for one in panel.thresholds if one.at is None or value >= one.at * panel.scale]
    return max(reached, key=lambda one: float("-inf") if one.at is None else one.at).state if reached else ""


def _figures(panel: Panel, series: Sequence[Series]) -> tuple[Figure, ...]:
    numbers = [(one.name, reduced(one.values, panel.calculation)) for one in series[:BARS_AT_MOST]]
    known = [value for _, value in numbers if value is not None]
    least = panel.least * panel.scale if panel.least is not None else min([0.0, *known])
    most = panel.most * panel.scale if panel.most is not None else max(known, default=1.0)
    width = most - least or 1.0

    def share(value: Value) -> float:
        return 0.0 if value is None else max(0.0, min(1.0, (value - least) / width))

    return tuple(Figure(name, value, state_of(panel, value), share(value)) for name, value in numbers)


def _table(panel: Panel, series: Sequence[Series]) -> Table:
    """One row for each set of labels, one column of values for each query."""
    labels = sorted({name for one in series for name in one.labels if name != "__name__"})
    width = len(panel.queries)
    rows: dict[tuple[str, ...], list[Value]] = {}
    for one in series:
        key = tuple(one.labels.get(name, "") for name in labels)
        rows.setdefault(key, [None] * width)[one.query] = reduced(one.values, panel.calculation)
    names = [
        query.legend or (f"Value {i + 1}" if width > 1 else "Value") for i, query in enumerate(panel.queries)
    ]
    listed = [(list(key), values) for key, values in rows.items()]
    listed.sort(key=lambda row: -next((v for v in row[1] if v is not None), float("-inf")))
    return Table(labels, names, listed[:ROWS_AT_MOST], max(0, len(listed) - ROWS_AT_MOST))


__all__ = ["ALL", "Choice", "Figure", "Showing", "Shown", "Table", "named", "reduced", "state_of"]
