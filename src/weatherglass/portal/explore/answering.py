"""From a question to what the page shows: one chart of all queries, a row a series, what was said, what it cost."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import MS_NS, SECOND_NS
from weatherglass.portal import signals
from weatherglass.portal.charts import Chart, Line, Value, nice_step
from weatherglass.portal.explore.asking import Question
from weatherglass.portal.kit import Visit

if TYPE_CHECKING:
    from weatherglass.metrics.promql.trace import Seen

POINTS = 240
_LETTERS = "ABCDEFGH"
_SHAPED = re.compile(
    r"\b(rate|irate|increase|delta|idelta|deriv|count|stddev|stdvar|absent)\b|[-*/^]|[<>=]=?\s*bool"
)


class Problem(NamedTuple):
    """What is wrong with one query, and where: `marked` is the query with a caret under the place."""

    letter: str
    message: str
    mend: str
    marked: str


class Row(NamedTuple):
    """One series: its place among the chart's lines (-1: not drawn), its name, and its values in short."""

    line: int
    label: str
    last: Value
    least: Value
    most: Value
    mean: Value


class Step(NamedTuple):
    """One node of a plan; `depth` from the whole query inwards."""

    depth: int
    expr: str
    kind: str
    series: int
    steps: int
    samples: int
    ms: float


class Cost(NamedTuple):
    """What one query took. The plan only where it was asked for."""

    letter: str
    expr: str
    samples: int
    ms: float
    series: int
    plan: tuple[Step, ...]


class Answer(NamedTuple):
    """Everything that was found. `rows` holds all series, `chart` the first `signals.LINES_AT_MOST`."""

    chart: Chart
    rows: list[Row]
    problems: list[Problem]
    notes: list[str]
    costs: list[Cost]
    step_s: int


class _Found(NamedTuple):
    """One series; `values` are taken out of the answer's arrays where they are drawn."""

    label: str
    row: Row
    result: Any
    at: int

    def values(self) -> tuple[Value, ...]:
        cells = zip(self.result.values[self.at].tolist(), self.result.present[self.at].tolist(), strict=True)
        return tuple(v if there and v == v else None for v, there in cells)


def answer(visit: Visit, question: Question) -> Answer:
    """Asks every query over the span, and over the earlier one beside it. What is refused is told, not raised."""
    start_s, end_s = question.start_ns / SECOND_NS, question.end_ns / SECOND_NS
    step_s = question.step_s or nice_step(end_s - start_s, POINTS)
    first_ms = question.start_ns // MS_NS // (step_s * 1000) * step_s * 1000
    last_ms = question.end_ns // MS_NS
    times = tuple(t / 1000 for t in range(first_ms, last_ms + 1, step_s * 1000))
    found: list[_Found] = []
    problems: list[Problem] = []
    notes: list[str] = []
    costs: list[Cost] = []
    shifts = [(0, "")] + ([(question.beside_ns // MS_NS, question.beside)] if question.beside_ns else [])
    for letter, expr in zip(_LETTERS, question.queries, strict=False):
        for shift_ms, ago in shifts:
            before = (f"{letter}: " if len(question.queries) > 1 else "") + (f"{ago} before: " if ago else "")
            try:
                lines, cost, said = _asked(
                    visit, expr, first_ms - shift_ms, last_ms - shift_ms, step_s * 1000, question.plan
                )
            except WeatherglassError as error:
                problems.append(Problem(letter, error.message, error.mend, marked(expr, error.where)))
                break
            found += [one._replace(label=before + one.label) for one in lines]
            notes += [one for one in said if one not in notes]
            if not shift_ms:
                costs.append(cost._replace(letter=letter))
    unit = "" if question.unit == "none" else question.unit or unit_of(question.queries)
    chart = Chart(
        title=" · ".join(question.queries),
        unit=unit,
        times=times,
        lines=tuple(Line(one.label, one.values()) for one in found[: signals.LINES_AT_MOST]),
        query=question.queries[0],
        start=start_s,
        end=end_s,
    )
    return Answer(chart, _rows(found), problems, notes, costs, step_s)


def _asked(
    visit: Visit, expr: str, start_ms: int, end_ms: int, step_ms: int, plan: bool
) -> tuple[list[_Found], Cost, list[str]]:
    from weatherglass.metrics.promql import Options, Query

    query = Query(start_ms, end_ms, step_ms, Options(trace=plan))
    began = time.perf_counter()
    result: Any = visit.rooms.metrics.query_range(
        visit.lens.partition, expr, start_ms, end_ms, step_ms, query=query
    )
    took_ms = (time.perf_counter() - began) * 1000
    native = result.histograms is not None
    result = signals.drawable(result)
    labels = [dict(series) for series in result.series]
    lines = [
        _Found(label, row, result, i)
        for i, (label, row) in enumerate(zip(signals.legends(labels), _shorts(result), strict=True))
    ]
    steps = tuple(_steps(query.trace.roots))
    said = [*result.warnings, *result.infos]
    if native:
        said.append("Native histograms are not drawn; ask for histogram_quantile, _avg or _count of them.")
    return lines, Cost("", expr, query.trace.samples, took_ms, len(lines), steps), said


def _steps(nodes: Sequence[Seen], depth: int = 0) -> Iterator[Step]:
    for node in nodes:
        yield Step(
            depth,
            " ".join(node.text.split()),
            node.kind,
            node.series,
            node.steps,
            node.samples,
            node.seconds * 1000,
        )
        yield from _steps(node.inner, depth + 1)


def _shorts(result: Any) -> list[Row]:
    """Last, least, most and mean of every series, whole-array; None where there is nothing."""
    there = result.present & ~np.isnan(result.values)
    counts = there.sum(axis=1)
    if not result.values.size:
        return []
    last_at = there.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
    columns = (
        result.values[np.arange(len(there)), last_at],
        np.min(result.values, axis=1, where=there, initial=np.inf),
        np.max(result.values, axis=1, where=there, initial=-np.inf),
        np.sum(result.values, axis=1, where=there) / np.maximum(counts, 1),
    )
    return [
        Row(-1, "", *cells) if count else Row(-1, "", None, None, None, None)
        for count, *cells in zip(counts.tolist(), *(column.tolist() for column in columns), strict=True)
    ]


def _rows(found: Sequence[_Found]) -> list[Row]:
    """The greatest last value first."""
    rows = [
        one.row._replace(line=i if i < signals.LINES_AT_MOST else -1, label=one.label)
        for i, one in enumerate(found)
    ]
    return sorted(rows, key=lambda row: -(row.last if row.last is not None else float("-inf")))


def unit_of(queries: Sequence[str]) -> str:
    """The unit that the metrics of plain queries have by their names; none where a function may have changed it."""
    units = {_unit(expr) for expr in queries}
    return units.pop() if len(units) == 1 else ""


def _unit(expr: str) -> str:
    if _SHAPED.search(re.sub(r"\{[^}]*\}", "", expr)):
        return ""
    for ending, unit in (("_seconds", "s"), ("_bytes", "B"), ("_share", "share"), ("_ratio", "share")):
        if re.search(rf"{ending}\b", expr):
            return unit
    return ""


def marked(expr: str, where: str) -> str:
    """The query with a caret under the place that is wrong (`line:column`, from 1); empty where none is named."""
    form = re.search(r"(?:^|\D)(\d+):(\d+)$", where)
    if form is None:
        return ""
    lines, row, column = expr.split("\n"), int(form[1]), int(form[2])
    if not 1 <= row <= len(lines) or not 1 <= column <= len(lines[row - 1]) + 1:
        return ""
    return "\n".join([*lines[:row], " " * (column - 1) + "^", *lines[row:]])
