"""Dashboards as files: what they are, our own form, Grafana's. Nothing is drawn here. Others import these names."""

from weatherglass.metrics.dashboards.grafana import read as from_grafana
from weatherglass.metrics.dashboards.model import (
    KINDS,
    WIDTH,
    Dashboard,
    Panel,
    Query,
    Row,
    Threshold,
    Variable,
)
from weatherglass.metrics.dashboards.own import FORM
from weatherglass.metrics.dashboards.own import read as from_yaml
from weatherglass.metrics.dashboards.own import write as to_yaml
from weatherglass.metrics.dashboards.shelf import Dashboards, Shelved, read
from weatherglass.metrics.dashboards.variables import ALL, Span, choose, fill, read_query, sifted

__all__ = [
    "ALL", "FORM", "KINDS", "WIDTH", "Dashboard", "Dashboards", "Panel", "Query", "Row", "Shelved", "Span",
    "Threshold", "Variable", "choose", "fill", "from_grafana", "from_yaml", "read", "read_query", "sifted", "to_yaml",
]  # fmt: skip
