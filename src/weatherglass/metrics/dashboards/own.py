"""Our own form of a dashboard: YAML, small enough to write by hand, read by one table of fields, written back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from weatherglass.base.errors import Invalid
from weatherglass.base.units import parse_duration
from weatherglass.metrics.dashboards.model import (
    CALCULATIONS,
    KINDS,
    STATES,
    WIDTH,
    Dashboard,
    Panel,
    Query,
    Row,
    Threshold,
    Variable,
    VariableKind,
)
from weatherglass.site.fields import (
    BAD,
    BOOLEAN,
    FILLED,
    REQUIRED,
    TEXT,
    At,
    Field,
    ListOf,
    MapOf,
    Record,
    Report,
    Scalar,
    choice,
    whole,
)
from weatherglass.site.tree import compose


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _span(text: str) -> str:
    parse_duration(text)
    return text


NUMBER = Scalar(_number, {"type": "number"}, "a number")
SPAN = Scalar(_span, {"type": "string"}, "a duration like 6h")


class _Panel(NamedTuple):
    title: str
    kind: str
    query: tuple[Query, ...]
    legend: str
    unit: str
    scale: float
    thresholds: tuple[Threshold, ...]
    least: float | None
    most: float | None
    calculation: str
    stacked: bool
    width: int
    height: int
    text: str
    description: str
    told: tuple[str, ...]


class _Variable(NamedTuple):
    label: str
    query: str
    values: tuple[str, ...]
    constant: str | None
    default: tuple[str, ...]
    regex: str
    multi: bool
    all: bool
    all_value: str
    hidden: bool


_QUERY = Record(
    {
        "expr": Field(FILLED, "PromQL, with variables as $name", REQUIRED),
        "legend": Field(TEXT, "a series' name, with labels as {{label}}", ""),
        "instant": Field(BOOLEAN, "asked at the end of the span alone", False),
    },
    Query,
)


class _Queries:
    """One query as a text, or a list of queries, each a text or a mapping."""

    def read(self, at: At) -> Any:
        if at.node.kind == "scalar":
            value = FILLED.read(at)
            return BAD if value is BAD else (Query(value),)
        if at.node.kind != "list":
            value = _QUERY.read(at)
            return BAD if value is BAD else (value,)
        found = []
        for number, node in enumerate(at.node.items):
            inner = at.item(number, node)
            value = FILLED.read(inner) if node.kind == "scalar" else _QUERY.read(inner)
            if value is BAD:
                return BAD
            found.append(Query(value) if isinstance(value, str) else value)
        return tuple(found)

    def schema(self) -> dict[str, Any]:
        one = {"anyOf": [FILLED.schema(), _QUERY.schema()]}
        return {"anyOf": [one, {"type": "array", "items": one}]}


PANEL = Record(
    {
        "title": Field(TEXT, "what it shows", ""),
        "kind": Field(choice(*KINDS, "unknown"), "how it is shown", "timeseries"),
        "query": Field(_Queries(), "what is asked; several as a list", ()),
        "legend": Field(TEXT, "the legend of queries that have none", ""),
        "unit": Field(TEXT, "s, B, share, B/s … any word", ""),
        "scale": Field(NUMBER, "what values are multiplied with to be in the unit", 1.0),
        "thresholds": Field(
            ListOf(
                Record(
                    {
                        "at": Field(NUMBER, "from which value on", None),
                        "state": Field(choice(*STATES), "what it is called", REQUIRED),
                    },
                    Threshold,
                )
            ),
            "from which value on it is sick, dying …",
            (),
        ),
        "least": Field(NUMBER, "where the scale begins", None),
        "most": Field(NUMBER, "where the scale ends", None),
        "calculation": Field(choice(*CALCULATIONS), "how a span becomes one number", "last"),
        "stacked": Field(BOOLEAN, "lines on top of each other", False),
        "width": Field(whole(1, WIDTH), "columns of 24", 12),
        "height": Field(whole(1, 60), "rows of about 36 pixels", 8),
        "text": Field(TEXT, "of a text panel", ""),
        "description": Field(TEXT, "what to know about it", ""),
        "told": Field(ListOf(TEXT), "what of its source cannot be shown", ()),
    },
    _Panel,
)

VARIABLE = Record(
    {
        "label": Field(TEXT, "what stands before the choice", ""),
        "query": Field(TEXT, "label_values(metric, label), metrics(pattern), query_result(expr)", ""),
        "values": Field(ListOf(TEXT, single=True), "what there is to choose from", ()),
        "constant": Field(TEXT, "a value nobody chooses", None),
        "default": Field(ListOf(TEXT, single=True), "what is chosen at first; $__all for all", ()),
        "regex": Field(TEXT, "which values count, and (a group) what of them", ""),
        "multi": Field(BOOLEAN, "several may be chosen", False),
        "all": Field(BOOLEAN, "all may be chosen at once", False),
        "all_value": Field(TEXT, "what stands for all in queries", ""),
        "hidden": Field(BOOLEAN, "not shown", False),
    },
    _Variable,
)


def _dashboard(**given: Any) -> Dashboard:
    variables = tuple(_variable(name, one) for name, one in given.pop("variables").items())
    return Dashboard(
        variables=variables, refresh_s=int(parse_duration(given.pop("refresh") or "0s")), **given
    )


def _variable(name: str, one: _Variable) -> Variable:
    kind: VariableKind = "query" if one.query else "list" if one.values else "text"
    default = one.default
    if one.constant is not None:
        kind, default = "constant", (one.constant,)
    return Variable(
        name,
        kind,
        one.label,
        one.query,
        one.values,
        default,
        one.regex,
        one.multi,
        one.all,
        one.all_value,
        one.hidden,
    )


def _panel(one: _Panel) -> Panel:
    queries = tuple(query._replace(legend=query.legend or one.legend) for query in one.query)
    rest = {name: value for name, value in one._asdict().items() if name not in ("query", "legend")}
    return Panel(queries=queries, **rest)


def _row(title: str, panels: tuple[_Panel, ...], folded: bool) -> Row:
    return Row(title, tuple(_panel(one) for one in panels), folded)


FORM = Record(
    {
        "title": Field(FILLED, "the dashboard's name", REQUIRED),
        "description": Field(TEXT, "what it is for", ""),
        "range": Field(SPAN, "the span shown at first", "1h"),
        "refresh": Field(SPAN, "how often it renews itself", "", "default: never"),
        "tags": Field(ListOf(TEXT, single=True), "words to find it by", ()),
        "tenants": Field(
            ListOf(TEXT, single=True), "who else may see it; * for every tenant", (), "default: nobody"
        ),
        "variables": Field(MapOf(VARIABLE), "what may be chosen on it", {}),
        "rows": Field(
            ListOf(
                Record(
                    {
                        "title": Field(TEXT, "what stands over the row", ""),
                        "panels": Field(ListOf(PANEL), "its panels", REQUIRED),
                        "folded": Field(BOOLEAN, "shown when it is opened", False),
                    },
                    _row,
                )
            ),
            "rows of panels",
            REQUIRED,
        ),
        "told": Field(ListOf(TEXT), "what of its source cannot be shown", ()),
    },
    _dashboard,
)
"""Every field of the form; the reference page and the JSON Schema read it."""


def read(text: str, file: str) -> Dashboard:
    """Raises Invalid with everything that is wrong, each with its line."""
    node = compose(text, file)
    if node is None:
        raise Invalid("the file is empty", where=file, mend="see docs/explore.md for a first one")
    report = Report()
    found = FORM.read(At(node, "", report))
    if report.problems:
        head = report.problems[0]
        raise Invalid(head.message, where=head.where, mend=head.mend, problems=report.problems)
    assert isinstance(found, Dashboard)
    return found


def write(dashboard: Dashboard) -> str:
    """YAML that `read` gives back as the same value."""
    refresh = f"{dashboard.refresh_s}s" if dashboard.refresh_s else ""
    whole_ = _lean(
        {
            "title": dashboard.title, "description": dashboard.description, "range": dashboard.range,
            "refresh": refresh, "tags": list(dashboard.tags), "tenants": list(dashboard.tenants),
            "told": list(dashboard.told),
            "variables": {one.name: _written_variable(one) for one in dashboard.variables},
        },
        {"range": "1h"},
    ) | {"rows": [_written_row(row) for row in dashboard.rows]}  # fmt: skip
    text: str = yaml.safe_dump(whole_, sort_keys=False, allow_unicode=True, width=110)
    return text


def _lean(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in values.items()
        if value is not None and value != defaults.get(name, type(value)())
    }


def _written_variable(one: Variable) -> dict[str, Any]:
    found = _lean(
        {
            "label": one.label, "query": one.query, "values": list(one.values), "regex": one.regex, "multi": one.multi,
            "all": one.all, "all_value": one.all_value, "hidden": one.hidden,
            "default": [] if one.kind == "constant" else list(one.default),
        },
        {},
    )  # fmt: skip
    return found | {"constant": one.default[0] if one.default else ""} if one.kind == "constant" else found


def _written_row(row: Row) -> dict[str, Any]:
    return _lean({"title": row.title, "folded": row.folded}, {}) | {
        "panels": [_written_panel(p) for p in row.panels]
    }


def _written_panel(one: Panel) -> dict[str, Any]:
    found = _lean(
        {
            "title": one.title, "kind": one.kind, "query": [_lean(q._asdict(), {}) for q in one.queries],
            "unit": one.unit, "calculation": one.calculation, "stacked": one.stacked, "width": one.width,
            "height": one.height, "text": one.text, "description": one.description, "told": list(one.told),
        },
        {"kind": "timeseries", "calculation": "last", "width": 12, "height": 8},
    )  # fmt: skip
    found |= {name: value for name, value in (("least", one.least), ("most", one.most)) if value is not None}
    if one.scale != 1.0:
        found["scale"] = one.scale
    if one.thresholds:
        found["thresholds"] = [
            {"state": t.state} if t.at is None else {"at": t.at, "state": t.state} for t in one.thresholds
        ]
    return found
