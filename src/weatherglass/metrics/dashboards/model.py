"""What a dashboard is: variables, rows, panels with their queries. Values alone; where they come from is elsewhere."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["timeseries", "stat", "gauge", "bars", "table", "heatmap", "logs", "text", "unknown"]
KINDS: tuple[Kind, ...] = ("timeseries", "stat", "gauge", "bars", "table", "heatmap", "logs", "text")
VariableKind = Literal["query", "list", "text", "constant"]
STATES = ("healthy", "sick", "dying", "dead", "unknown")
WIDTH = 24
"""Columns of a row, as Grafana counts them."""

CALCULATIONS = ("last", "mean", "least", "most", "sum", "first")


class Query(NamedTuple):
    """One query of a panel; `legend` may name labels as `{{label}}`."""

    expr: str
    legend: str = ""
    instant: bool = False


class Threshold(NamedTuple):
    """From `at` on (None: from below everything) the value is called `state`."""

    at: float | None
    state: str


class Panel(NamedTuple):
    """One panel. `told` says what of its source cannot be shown; `scale` brings values to `unit`."""

    title: str
    kind: Kind
    queries: tuple[Query, ...] = ()
    unit: str = ""
    scale: float = 1.0
    thresholds: tuple[Threshold, ...] = ()
    least: float | None = None
    most: float | None = None
    calculation: str = "last"
    stacked: bool = False
    width: int = 12
    height: int = 8
    text: str = ""
    description: str = ""
    told: tuple[str, ...] = ()


class Row(NamedTuple):
    """Panels under one title; a folded row shows its title alone until it is opened."""

    title: str
    panels: tuple[Panel, ...]
    folded: bool = False


class Variable(NamedTuple):
    """Something to choose. `all_value` stands for all where it is given; else all values do."""

    name: str
    kind: VariableKind
    label: str = ""
    query: str = ""  # `label_values(metric, label)` and its kin
    values: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    regex: str = ""
    multi: bool = False
    all: bool = False
    all_value: str = ""
    hidden: bool = False


class Dashboard(NamedTuple):
    """A whole page. `tenants` may see it besides operators: names, or `*` for all; each sees its own samples."""

    title: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    description: str = ""
    range: str = "1h"
    refresh_s: int = 0
    tags: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]
