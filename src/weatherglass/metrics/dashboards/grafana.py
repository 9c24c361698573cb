"""Grafana's dashboards (JSON, schema 14 and newer) as ours. Pure: nothing is refused for what it asks too much.

What cannot be shown is told: on the panel, or on the dashboard where it is no panel's. Nothing is left out silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.base.units import parse_duration
from weatherglass.metrics.dashboards.model import (
    WIDTH,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Threshold,
    Variable,
)
from weatherglass.metrics.dashboards.units import unit

PANELS_AT_MOST = 500

TYPES: dict[str, tuple[Kind, str]] = {
    "timeseries": ("timeseries", ""), "graph": ("timeseries", ""), "state-timeline": ("timeseries", "drawn as lines"),
    "status-history": ("timeseries", "drawn as lines"), "barchart": ("bars", ""), "trend": ("timeseries", ""),
    "stat": ("stat", ""), "singlestat": ("stat", ""), "gauge": ("gauge", ""), "bargauge": ("bars", ""),
    "piechart": ("bars", "drawn as bars, not as a pie"), "grafana-piechart-panel": ("bars", "drawn as bars, not as a pie"),
    "table": ("table", ""), "table-old": ("table", ""), "heatmap": ("heatmap", ""), "text": ("text", ""),
}  # fmt: skip
"""Grafana's type → ours, and what is said of it."""

CALCULATIONS = {
    "last": "last", "lastNotNull": "last", "current": "last", "mean": "mean", "avg": "mean", "min": "least",
    "max": "most", "sum": "sum", "total": "sum", "first": "first", "firstNotNull": "first",
}  # fmt: skip
_GREEN = re.compile(r"green|#(?:299c46|37872d|73bf69|56a64b|96d98d)|rgba?\(50,\s*1(?:28|72),\s*4", re.I)
_YELLOW = re.compile(
    r"yellow|orange|#(?:fade2a|ff9830|f2cc0c|eab839|e0b400|fa6400|ff780a)|rgba?\(237,\s*129,\s*40", re.I
)
_RED = re.compile(
    r"red|#(?:d44a3a|c4162a|f2495c|e02f44|890f02|bf1b00)|rgba?\((?:255,\s*0,\s*0|245,\s*54,\s*54)", re.I
)
_OTHER_SOURCES = (
    "loki",
    "elasticsearch",
    "influxdb",
    "graphite",
    "mysql",
    "postgres",
    "tempo",
    "jaeger",
    "cloudwatch",
)


def read(text: str, file: str = "dashboard") -> Dashboard:
    """Raises Invalid where it is no dashboard of Grafana's."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"not JSON: {error}", where=file, mend="export it from Grafana as JSON") from error
    if isinstance(body, Mapping) and isinstance(body.get("dashboard"), Mapping):
        body = body["dashboard"]  # as Grafana's API answers it
    if not isinstance(body, Mapping) or not ("panels" in body or "rows" in body):
        raise Invalid("this is no dashboard of Grafana's", where=file, mend="it has `panels` or `rows`")
    told: list[str] = []
    variables = tuple(_variables(_list(_map(body.get("templating")).get("list")), told))
    rows = tuple(_rows(body))
    if sum(len(row.panels) for row in rows) > PANELS_AT_MOST:
        raise Invalid(f"more than {PANELS_AT_MOST} panels", where=file, mend="split the dashboard")
    annotations = [
        one for one in _list(_map(body.get("annotations")).get("list")) if not _map(one).get("builtIn")
    ]
    if annotations:
        told.append(f"{len(annotations)} annotation quer{'y' if len(annotations) == 1 else 'ies'} not drawn")
    return Dashboard(
        title=_text(body.get("title")) or file,
        rows=rows,
        variables=variables,
        description=_text(body.get("description")),
        range=_range(_map(body.get("time"))),
        refresh_s=_refresh(body.get("refresh")),
        tags=tuple(_text(tag) for tag in _list(body.get("tags"))),
        told=tuple(told),
    )


def _text(value: Any) -> str:
    """Text without NUL, which YAML cannot hold."""
    return value.replace("\0", "") if isinstance(value, str) else ""


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _float(value: Any) -> float | None:
    try:
        found = float(value) if value not in (None, "", True, False) else None
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found is not None and abs(found) < 1e300 else None


def _range(time: Mapping[str, Any]) -> str:
    form = re.fullmatch(r"now-(\d{1,5}[smhdw])", _text(time.get("from")))
    if form is None:
        return "1h"
    return f"{int(form[1][:-1]) * 7}d" if form[1].endswith("w") else form[1]


def _refresh(value: Any) -> int:
    try:
        return min(int(parse_duration(_text(value))), 86_400)
    except ValueError:
        return 0


# --- rows and panels ---


def _rows(body: Mapping[str, Any]) -> Iterable[Row]:
    """Panels under the row panels before them (schema 16 on), or in rows of their own (older)."""
    for row in map(_map, _list(body.get("rows"))):
        panels = tuple(_panel(_map(one)) for one in _list(row.get("panels")))
        if panels:
            shown = row.get("showTitle", True)
            yield Row(_text(row.get("title")) if shown else "", panels, bool(row.get("collapse")))
    title, folded, gathered = "", False, list[Panel]()
    for one in sorted(map(_map, _list(body.get("panels"))), key=_place):
        if one.get("type") != "row":
            gathered.append(_panel(one))
            continue
        if gathered or title:
            yield Row(title, tuple(gathered), folded)
        title, folded = _text(one.get("title")), bool(one.get("collapsed"))
        gathered = [_panel(_map(inner)) for inner in sorted(map(_map, _list(one.get("panels"))), key=_place)]
    if gathered or title:
        yield Row(title, tuple(gathered), folded)


def _place(panel: Mapping[str, Any]) -> tuple[float, float]:
    where = _map(panel.get("gridPos"))
    return _float(where.get("y")) or 0.0, _float(where.get("x")) or 0.0


def _panel(one: Mapping[str, Any]) -> Panel:
    name = _text(one.get("type"))
    kind, said = TYPES.get(
        name, ("unknown", f"a panel of the type {name or 'without a name'} is not known here")
    )
    told = [said] if said else []
    defaults = _map(_map(one.get("fieldConfig")).get("defaults"))
    options = _map(one.get("options"))
    unit_name = _unit_name(one, defaults)
    own_unit, scale, known = unit(unit_name)
    if not known:
        told.append(f"values are shown as they are: the unit {unit_name} is not known here")
    queries = tuple(_queries(one, name, told))
    _left_out(one, told)
    if kind not in ("text", "unknown") and not queries:
        told.append("it asks nothing of Prometheus")
    where = _map(one.get("gridPos"))
    width = _float(where.get("w")) or (_float(one.get("span")) or 6) * 2
    height = _float(where.get("h")) or 8
    axes = [_map(axis) for axis in _list(one.get("yaxes"))]
    gauge = _map(one.get("gauge"))
    if kind == "stat" and gauge.get("show"):
        kind = "gauge"
    least = _float(defaults.get("min", gauge.get("minValue") if gauge.get("show") else _of(axes, "min")))
    most = _float(defaults.get("max", gauge.get("maxValue") if gauge.get("show") else _of(axes, "max")))
    text = _text(options.get("content")) or _text(one.get("content"))
    if text and (_text(options.get("mode")) or _text(one.get("mode"))) == "html":
        told.append("HTML is shown as its text")
        text = re.sub(r"<[^>]*>", " ", text)
    return Panel(
        title=_text(one.get("title")),
        kind=kind,
        queries=queries,
        unit=own_unit,
        scale=scale,
        thresholds=tuple(_thresholds(one, defaults)),
        least=least,
        most=most,
        calculation=_calculation(one, options, told),
        stacked=bool(one.get("stack"))
        or _map(_map(defaults.get("custom")).get("stacking")).get("mode") in ("normal", "percent"),
        width=max(1, min(WIDTH, int(width))),
        height=max(1, min(60, int(height))),
        text=text if kind == "text" else "",
        description=_text(one.get("description")),
        told=tuple(told),
    )


def _of(axes: Sequence[Mapping[str, Any]], name: str) -> Any:
    return axes[0].get(name) if axes else None


def _unit_name(one: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    axes = [_map(axis) for axis in _list(one.get("yaxes"))]
    styles = [_map(style) for style in _list(one.get("styles"))]
    of_value = next((s.get("unit") for s in styles if "value" in _text(s.get("pattern")).lower()), None)
    found = (
        defaults.get("unit")
        or one.get("format")
        or _of(axes, "format")
        or _map(one.get("yAxis")).get("format")
    )
    return _text(found or of_value or "")


def _queries(one: Mapping[str, Any], name: str, told: list[str]) -> Iterable[Query]:
    for target in map(_map, _list(one.get("targets"))):
        source = _map(target.get("datasource")).get("type") or _map(one.get("datasource")).get("type") or ""
        expr = _text(target.get("expr")).strip()
        if target.get("hide"):
            continue
        if str(source) in _OTHER_SOURCES or not expr:
            what = (
                f"a query of {source}" if source and source != "prometheus" else "a query that is no PromQL"
            )
            told.append(f"{what} is left out")
            continue
        legend = _text(target.get("legendFormat"))
        table = name in ("table", "table-old") and target.get("format") == "table"
        yield Query(expr, "" if legend == "__auto" else legend, bool(target.get("instant")) or table)


def _left_out(one: Mapping[str, Any], told: list[str]) -> None:
    """What of a panel has no counterpart here."""
    changes = [_text(_map(change).get("id")) for change in _list(one.get("transformations"))]
    if changes:
        told.append(f"not done to the answer: {', '.join(changes)}")
    if one.get("repeat"):
        told.append(f"not repeated for each ${one['repeat']}: all are in this one")
    if _list(_map(one.get("fieldConfig")).get("overrides")):
        told.append("what is set for single series is not taken over")
    if any(_map(override).get("yaxis") == 2 for override in _list(one.get("seriesOverrides"))):
        told.append("all series share the left axis")
    if one.get("alert"):
        told.append("its alert is not taken over")
    if one.get("timeShift") or one.get("timeFrom"):
        told.append("it shows the dashboard's span, not one of its own")
    if _map(one.get("libraryPanel")).get("uid"):
        told.append("it lies in Grafana's library, not in the file")


def _calculation(one: Mapping[str, Any], options: Mapping[str, Any], told: list[str]) -> str:
    given = [_text(calc) for calc in _list(_map(options.get("reduceOptions")).get("calcs"))]
    name = given[0] if given else _text(one.get("valueName"))
    if name and name not in CALCULATIONS:
        told.append(f"the last value is shown: {name} is not known here")
    return CALCULATIONS.get(name, "last")


def _state(colour: str) -> str:
    return (
        "healthy"
        if _GREEN.search(colour)
        else "sick"
        if _YELLOW.search(colour)
        else "dying"
        if _RED.search(colour)
        else ""
    )


def _thresholds(one: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterable[Threshold]:
    """Steps with colours, or the two numbers of a singlestat; colours that mean no state of ours are left away."""
    for step in map(_map, _list(_map(defaults.get("thresholds")).get("steps"))):
        if state := _state(_text(step.get("color"))):
            yield Threshold(_float(step.get("value")), state)
    written = one.get("thresholds")
    colours = [_state(_text(colour)) for colour in _list(one.get("colors"))]
    if isinstance(written, str) and written.strip() and (one.get("colorValue") or one.get("colorBackground")):
        places: list[float | None] = [None, *(_float(part) for part in written.split(","))]
        for at, state in zip(places, colours, strict=False):
            if state:
                yield Threshold(at, state)
    for limit in map(_map, _list(written)):
        value = _float(limit.get("value"))
        if value is not None and limit.get("op", "gt") == "gt":
            yield Threshold(
                value, {"warning": "sick", "ok": "healthy"}.get(_text(limit.get("colorMode")), "dying")
            )


# --- variables ---


def _variables(listed: Sequence[Any], told: list[str]) -> Iterable[Variable]:
    for one in map(_map, listed):
        name, kind = _text(one.get("name")), _text(one.get("type"))
        if not name or not re.fullmatch(r"\w+", name):
            continue
        current = _map(one.get("current")).get("value")
        default = tuple(
            _text(value) for value in (current if isinstance(current, list) else [current]) if _text(value)
        )
        common: dict[str, Any] = {
            "label": _text(one.get("label")), "multi": bool(one.get("multi")), "all": bool(one.get("includeAll")),
            "all_value": _text(one.get("allValue")), "hidden": one.get("hide") == 2,
        }  # fmt: skip
        query = one.get("query")
        text = _text(_map(query).get("query")) or _text(query)
        if kind == "query":
            yield Variable(
                name, "query", query=text or _text(one.get("definition")), regex=_text(one.get("regex")),
                default=default, **common,
            )  # fmt: skip
        elif kind in ("custom", "interval"):
            values = tuple(
                part.partition(" : ")[2].strip() or part.strip() for part in text.split(",") if part.strip()
            )
            default = tuple(value for value in default if value in values or value == "$__all")
            yield Variable(name, "list", values=values, default=default, **common)
        elif kind == "constant":
            yield Variable(name, "constant", default=(text,), **common)
        elif kind == "textbox":
            yield Variable(name, "text", default=default or ((text,) if text else ()), **common)
        elif kind != "datasource":  # there is one source here: what the lens shows
            told.append(f"the variable ${name} is of the type {kind or '?'}, which is not known here")
