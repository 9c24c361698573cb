"""What may be asked of the store: one plan behind all of it (`answers`). `Logs` is a reader that also writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from weatherglass.logs import answers, requests
from weatherglass.logs import filter as f
from weatherglass.logs.aggs import Agg, Buckets, Sort, Terms
from weatherglass.logs.answers import FOREVER, Page, View
from weatherglass.logs.known import KnownTemplate, templates_of
from weatherglass.logs.query import make_filter, parse_cursor
from weatherglass.logs.requests import Waterfall
from weatherglass.logs.sorting import NEWEST, Hits
from weatherglass.logs.trends import Anatomy, Trend, anatomy_at, trends_of

MAX_PAGE = 10_000


class Reader(ABC):
    """Answers from views. Any thread may ask."""

    @abstractmethod
    def view(self, tenant: str) -> View:
        """What the tenant's store holds now."""

    @abstractmethod
    def now_ns(self) -> int:
        """What time it is for what is asked."""

    # --- for the wire ------------------------------------------------------------------------------------

    def find(
        self,
        tenant: str,
        filter: f.Filter,
        *,
        start_ns: int = FOREVER[0],
        end_ns: int = FOREVER[1],
        sort: Sort = NEWEST,
        limit: int = 100,
        after: str | Sequence[Any] | None = None,
        track_total: bool | int = True,
    ) -> Hits:
        """The first `limit` events by `sort`, ties by time and arrival; and how many there are.

        `after` goes on from a page's last: its `sort` values (some of them, as search_after), or its cursor where
        the order is by time. Raises Invalid, Corrupt.
        """
        values: Sequence[Any] | None
        if isinstance(after, str):
            key = parse_cursor(after) if after else None
            values = (key[0], key[0], key[1]) if key else None
        else:
            values = after
        found, _ = answers.find(
            self.view(tenant),
            filter,
            span=(start_ns, end_ns),
            sort=sort,
            limit=max(0, min(limit, MAX_PAGE)),
            after=values,
            track_total=track_total,
        )
        return found

    def aggregate(
        self,
        tenant: str,
        filter: f.Filter,
        aggs: Mapping[str, Agg],
        *,
        start_ns: int = FOREVER[0],
        end_ns: int = FOREVER[1],
    ) -> dict[str, Any]:
        """{name: result}, as `aggs` says. Raises Invalid, Corrupt."""
        return answers.aggregate(self.view(tenant), filter, aggs, span=(start_ns, end_ns))[0]

    def count(
        self, tenant: str, filter: f.Filter, *, start_ns: int = FOREVER[0], end_ns: int = FOREVER[1]
    ) -> int:
        """How many events are asked for."""
        return answers.aggregate(self.view(tenant), filter, {}, span=(start_ns, end_ns))[1]

    def fields(
        self, tenant: str, *, start_ns: int = FOREVER[0], end_ns: int = FOREVER[1]
    ) -> dict[str, set[str]]:
        """Field → the types that its values have: `text int float bool list`; of what lies in the span's frames."""
        return answers.fields(self.view(tenant), (start_ns, end_ns))

    # --- for the house -----------------------------------------------------------------------------------

    def search(
        self,
        tenant: str,
        *,
        start_ns: int,
        end_ns: int,
        words: str = "",
        entity: str = "",
        level: str = "",
        fields: Mapping[str, str] | None = None,
        query: str = "",
        limit: int = 100,
        before: str = "",
    ) -> Page:
        """The newest events of start_ns ≤ time < end_ns that have all `words`; `before` goes on from a page's `next`.

        `level` is `ERROR`, `ERROR,CRITICAL` or `WARNING+`; `fields` are by name, values ending in `*` for a
        beginning; `query` is in Lucene's language (docs/logs.md). All must hold. Raises Invalid, Corrupt.
        """
        filter = self._filter(start_ns, end_ns, words, entity, level, fields, query, before)
        return answers.page(
            self.view(tenant), filter, (start_ns, end_ns), max(1, min(limit, MAX_PAGE)), before
        )

    def _filter(
        self,
        start_ns: int,
        end_ns: int,
        words: str,
        entity: str,
        level: str,
        fields: Mapping[str, str] | None,
        query: str,
        before: str = "",
    ) -> f.Filter:
        return make_filter(
            start_ns=start_ns,
            end_ns=end_ns,
            words=words,
            entity=entity,
            level=level,
            fields=fields,
            query=query,
            before=before,
            now_ns=self.now_ns(),
        )

    def surrounding(self, tenant: str, cursor: str, n: int = 20) -> Page:
        """The event at a cursor with `n` before and after it from the same source, newest first. Raises NotFound."""
        return answers.around(self.view(tenant), parse_cursor(cursor), max(0, min(n, MAX_PAGE)))

    def histogram(
        self,
        tenant: str,
        *,
        start_ns: int,
        end_ns: int,
        words: str = "",
        entity: str = "",
        level: str = "",
        fields: Mapping[str, str] | None = None,
        query: str = "",
        buckets: int = 60,
    ) -> list[tuple[int, dict[str, int]]]:
        """(start_ns, events by level) in even buckets, empty ones too; filters as in `search`."""
        filter = self._filter(start_ns, end_ns, words, entity, level, fields, query)
        return answers.histogram(self.view(tenant), filter, (start_ns, end_ns), buckets)

    def facet(
        self,
        tenant: str,
        field: str,
        *,
        start_ns: int,
        end_ns: int,
        size: int = 10,
        words: str = "",
        entity: str = "",
        level: str = "",
        fields: Mapping[str, str] | None = None,
        query: str = "",
    ) -> Buckets:
        """The most frequent values of a field; filters as in `search`."""
        filter = self._filter(start_ns, end_ns, words, entity, level, fields, query)
        found = self.aggregate(
            tenant, filter, {"facet": Terms(field, size)}, start_ns=start_ns, end_ns=end_ns
        )
        buckets: Buckets = found["facet"]
        return buckets

    def error_counts(
        self,
        tenant: str,
        start_ns: int,
        end_ns: int,
        by: str = "service",
        *,
        labels: Mapping[str, str] | None = None,
    ) -> dict[str, int]:
        """Label value → events of level ERROR or CRITICAL, of those with `labels`. `by` is a label of the house."""
        return answers.error_counts(self.view(tenant), (start_ns, end_ns), by, labels or {})

    # --- templates and requests --------------------------------------------------------------------------

    def templates(
        self,
        tenant: str,
        *,
        start_ns: int = FOREVER[0],
        end_ns: int = FOREVER[1],
        filter: f.Filter | None = None,
    ) -> list[KnownTemplate]:
        """Every template that occurs in the span, the most frequent first."""
        return templates_of(self.view(tenant), filter or f.All(), (start_ns, end_ns))

    def rare_templates(
        self, tenant: str, *, start_ns: int, end_ns: int, most: int = 5, filter: f.Filter | None = None
    ) -> list[KnownTemplate]:
        """Those that occur at most so often, the rarest first."""
        found = self.templates(tenant, start_ns=start_ns, end_ns=end_ns, filter=filter)
        return sorted((one for one in found if one.count <= most), key=lambda one: (one.count, -one.last_ns))

    def new_templates(
        self, tenant: str, since_ns: int, *, end_ns: int = FOREVER[1], filter: f.Filter | None = None
    ) -> list[KnownTemplate]:
        """Those that occur since then, and never before in what is kept: what is new since the deploy."""
        view, asked = self.view(tenant), filter or f.All()
        before = {one.text for one in templates_of(view, f.All(), (0, since_ns))}
        return [one for one in templates_of(view, asked, (since_ns, end_ns)) if one.text not in before]

    def request(self, tenant: str, id: str, *, limit: int = 2000) -> Waterfall:
        """One request across services, by its request id, global request id or trace id: lines and spans in order."""
        return requests.follow(self.view(tenant), id, limit)

    def trends(
        self, tenant: str, *, start_ns: int, end_ns: int, buckets: int = 48, filter: f.Filter | None = None
    ) -> list[Trend]:
        """Every template of the span with its counts over time, by level and service. Raises Invalid."""
        return trends_of(self.view(tenant), filter or f.All(), (start_ns, end_ns), buckets)

    def anatomy(self, tenant: str, cursor: str) -> Anatomy:
        """The event at a cursor with its template and variables. Raises Invalid, NotFound."""
        return anatomy_at(self.view(tenant), parse_cursor(cursor))
