"""Gnocchi's model over the store of samples: policies, resources, metrics, aggregates. Others import these names."""

from weatherglass.metrics.gnocchi.attributes import resource_id
from weatherglass.metrics.gnocchi.crossing import FILLS
from weatherglass.metrics.gnocchi.desks.aggregates import Question
from weatherglass.metrics.gnocchi.desks.ground import BARE, Settings
from weatherglass.metrics.gnocchi.desks.metrics import Page
from weatherglass.metrics.gnocchi.errors import (
    Bad,
    Forbidden,
    Missing,
    Refused,
    Stale,
    Taken,
    Undone,
    argument,
)
from weatherglass.metrics.gnocchi.filters import checked as json_filter
from weatherglass.metrics.gnocchi.filters import parsed as text_filter
from weatherglass.metrics.gnocchi.model import Metric, Resource
from weatherglass.metrics.gnocchi.policies import METHODS
from weatherglass.metrics.gnocchi.predicates import predicate
from weatherglass.metrics.gnocchi.reading import CALENDAR
from weatherglass.metrics.gnocchi.room import Gnocchi
from weatherglass.metrics.gnocchi.rules import Caller
from weatherglass.metrics.gnocchi.statsd import Statsd
from weatherglass.metrics.gnocchi.tables import ROOM
from weatherglass.metrics.gnocchi.times import instant, span

__all__ = [
    "BARE", "CALENDAR", "FILLS", "METHODS", "ROOM", "Bad", "Caller", "Forbidden", "Gnocchi", "Metric", "Missing",
    "Page", "Question", "Refused", "Resource", "Settings", "Stale", "Statsd", "Taken", "Undone", "argument", "instant",
    "json_filter", "predicate", "resource_id", "span", "text_filter",
]  # fmt: skip
