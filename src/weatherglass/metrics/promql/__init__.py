"""PromQL: text → tokens → typed tree → (series × steps) arrays. Pure: the store is a function handed in."""

from weatherglass.metrics.promql.aggregate import AGGREGATORS
from weatherglass.metrics.promql.evaluate import evaluate
from weatherglass.metrics.promql.evaluation import Query, TimedOut
from weatherglass.metrics.promql.functions import FUNCTIONS
from weatherglass.metrics.promql.options import EXPERIMENTAL, STABLE, Options
from weatherglass.metrics.promql.parser import parse

__all__ = [
    "AGGREGATORS",
    "EXPERIMENTAL",
    "FUNCTIONS",
    "STABLE",
    "Options",
    "Query",
    "TimedOut",
    "evaluate",
    "parse",
]
