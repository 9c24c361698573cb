"""Samples → log → head → chunks; the series index; PromQL. Others import these names alone."""

from weatherglass.metrics.catalogue import TABLES
from weatherglass.metrics.keeper import Sealer
from weatherglass.metrics.retention import Policy, Rollup
from weatherglass.metrics.store import Metrics
from weatherglass.metrics.types import Matcher, QueryResult, Selection, SeriesLimits

__all__ = [
    "TABLES",
    "Matcher",
    "Metrics",
    "Policy",
    "QueryResult",
    "Rollup",
    "Sealer",
    "Selection",
    "SeriesLimits",
]
