"""Samples → log → head → chunks; the series index; PromQL. Others import these names alone."""

from weatherglass.metrics.catalogue import TABLES
from weatherglass.metrics.store import Metrics, Sealer
from weatherglass.metrics.types import Matcher, QueryResult, Selection, SeriesLimits

__all__ = ["TABLES", "Matcher", "Metrics", "QueryResult", "Sealer", "Selection", "SeriesLimits"]
