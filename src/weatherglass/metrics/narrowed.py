"""A metrics room in which nothing exists but the series that meet a condition: what one project is shown of the site.

The condition joins the matchers at the one place where a query reaches the store (`select`), so it holds for whatever
PromQL asks in whatever way: sub-queries, `info()`'s own look-ups, a selector without a name. Reading only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weatherglass.metrics.types import Matcher, QueryResult, Select, Selection

if TYPE_CHECKING:
    from weatherglass.metrics.promql import Query
    from weatherglass.metrics.store import Metrics

Matchers = Sequence[Matcher]


class Narrowed:
    """`tenant`'s partition as far as `always` goes. Raises as the room does."""

    def __init__(self, room: Metrics, tenant: str, always: Matchers) -> None:
        self._room, self._tenant, self._always = room, tenant, tuple(always)

    def select(self, matchers: Matchers, start_ms: int, end_ms: int) -> Selection:
        return self._room.select(self._tenant, (*matchers, *self._always), start_ms, end_ms)

    def query(self, expr: str, at_ms: int, query: Query | None = None) -> QueryResult:
        """An instant query."""
        return self._evaluated(expr, at_ms, at_ms, 1, query)

    def query_range(
        self, expr: str, start_ms: int, end_ms: int, step_ms: int, query: Query | None = None
    ) -> QueryResult:
        """A range query, both ends included."""
        found = self._evaluated(expr, start_ms, end_ms, step_ms, query)
        return replace(found, type="matrix") if found.type == "vector" else found

    def _evaluated(
        self, expr: str, start_ms: int, end_ms: int, step_ms: int, query: Query | None
    ) -> QueryResult:
        from weatherglass.metrics import promql

        query = query or promql.Query(start_ms, end_ms, step_ms)
        tree = promql.parse(expr, query.options)
        select: Select = self.select
        return promql.evaluate(tree, select, start_ms, end_ms, step_ms, query.options, query)

    def _all(self, several: Sequence[Matchers]) -> list[tuple[Matcher, ...]]:
        several = several or ([()] if self._always else [])
        return [(*one, *self._always) for one in several]

    def series(self, several: Sequence[Matchers], *span: int) -> list[dict[str, str]]:
        return self._room.series(self._tenant, self._all(several), *span)

    def label_names(self, several: Sequence[Matchers] = (), *span: int) -> list[str]:
        return self._room.label_names(self._tenant, self._all(several), *span)

    def label_values(self, name: str, several: Sequence[Matchers] = (), *span: int) -> list[str]:
        return self._room.label_values(self._tenant, name, self._all(several), *span)

    def exemplars(self, several: Sequence[Matchers], start_ms: int, end_ms: int) -> Sequence[Any]:
        return self._room.exemplars(self._tenant, self._all(several), start_ms, end_ms)


class Rooms:
    """The reading side of the metrics room for callers whose tenant may be a narrowed one.

    `narrow` says of a tenant's name which partition it is and what always holds there; None: it is a whole one.
    """

    def __init__(self, room: Metrics, narrow: Callable[[str], tuple[str, Matchers] | None]) -> None:
        self._room, self._narrow = room, narrow

    def _of(self, tenant: str) -> Narrowed:
        found = self._narrow(tenant)
        return Narrowed(self._room, *found) if found else Narrowed(self._room, tenant, ())

    def query(self, tenant: str, expr: str, at_ms: int, query: Query | None = None) -> QueryResult:
        return self._of(tenant).query(expr, at_ms, query)

    def query_range(
        self, tenant: str, expr: str, start_ms: int, end_ms: int, step_ms: int, query: Query | None = None
    ) -> QueryResult:
        return self._of(tenant).query_range(expr, start_ms, end_ms, step_ms, query)

    def series(self, tenant: str, several: Sequence[Matchers], start_ms: int, end_ms: int) -> Any:
        return self._of(tenant).series(several, start_ms, end_ms)

    def label_names(self, tenant: str, several: Sequence[Matchers], start_ms: int, end_ms: int) -> Any:
        return self._of(tenant).label_names(several, start_ms, end_ms)

    def label_values(
        self, tenant: str, name: str, several: Sequence[Matchers], start_ms: int, end_ms: int
    ) -> Any:
        return self._of(tenant).label_values(name, several, start_ms, end_ms)

    def exemplars(self, tenant: str, several: Sequence[Matchers], start_ms: int, end_ms: int) -> Any:
        return self._of(tenant).exemplars(several, start_ms, end_ms)

    def metadata(self, tenant: str) -> Mapping[str, Any]:
        """Of the metrics that are there to be seen."""
        found = self._narrow(tenant)
        if found is None:
            return self._room.metadata(tenant)
        names = set(Narrowed(self._room, *found).label_values("__name__"))
        return {name: about for name, about in self._room.metadata(found[0]).items() if name in names}

    def delete(self, tenant: str, several: Sequence[Matchers], start_ms: int, end_ms: int) -> int:
        """Of a whole partition alone: who may not see all deletes nothing."""
        return self._room.delete(tenant, several, start_ms, end_ms)

    def clean(self, tenant: str | None = None) -> int:
        return self._room.clean(tenant)
