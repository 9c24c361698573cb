"""`_search` and its kin: a body read, asked of the store, told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import Clock
from weatherglass.gateway.elastic import aggregations, hits, query, sorting
from weatherglass.gateway.elastic.aggregations import Counted, Reading
from weatherglass.gateway.elastic.asking import Ask, Reply, line_of
from weatherglass.gateway.elastic.contexts import Contexts
from weatherglass.gateway.elastic.faults import Fault, argument, parsing, search_phase, told
from weatherglass.gateway.elastic.indices import Chosen, Indices
from weatherglass.gateway.elastic.leaves import Scope
from weatherglass.gateway.elastic.names import Lenience
from weatherglass.gateway.elastic.requests import (
    Body,
    Told,
    matched,
    pairs,
    query_of,
    shards,
    totals,
    tracked,
    whole,
    with_params,
)
from weatherglass.gateway.elastic.room import Found, Store
from weatherglass.gateway.elastic.sorting import Key
from weatherglass.gateway.errors import status_of
from weatherglass.logs import filter as ask_of
from weatherglass.logs.filter import Filter
from weatherglass.logs.sorting import Hits

_SERVED = frozenset(
    ("query", "from", "size", "sort", "_source", "fields", "docvalue_fields", "stored_fields", "aggs", "aggregations",
     "post_filter", "search_after", "track_total_hits", "track_scores", "highlight", "min_score", "pit", "version",
     "seq_no_primary_term")
)  # fmt: skip
_PASSED_OVER = frozenset(
    ("timeout", "terminate_after", "explain", "profile", "stats", "indices_boost", "ext", "batched_reduce_size",
     "runtime_mappings", "slice", "_name", "min_compatible_shard_node", "script_fields", "rescore", "suggest")
)  # fmt: skip
_REFUSED = frozenset(
    ("script_fields", "rescore", "suggest", "collapse", "knn", "runtime_mappings", "rank", "retriever")
)


@dataclass(slots=True)
class Searched:
    """A search made ready."""

    tenant: str
    chosen: Chosen
    scope: Scope
    holds: Filter
    narrowed: Filter
    keys: tuple[Key, ...]
    begin: int
    size: int
    after: tuple[Any, ...] | None
    shape: hits.Shape
    tracked: int | None  # None: exactly; 0: not at all
    counted: Mapping[str, Counted] = field(default_factory=dict)
    pit: str = ""
    typed: bool = False


class Searching:
    """Searches of every tenant; any thread."""

    def __init__(self, indices: Indices, store: Store, clock: Clock) -> None:
        self._indices, self._store, self._clock = indices, store, clock
        self._scrolls, self._points = Contexts(clock, "scroll"), Contexts(clock, "point in time")

    # --- reading -----------------------------------------------------------------------------------------

    def ready(self, ask: Ask, expression: str, body: Body, *, scroll: bool = False) -> Searched:
        """Raises Fault."""
        for name, value in body.items():
            if name in _REFUSED and value:
                raise argument(f"[{name}] is not spoken here")
            if name not in _SERVED and name not in _PASSED_OVER:
                token = (
                    "START_OBJECT"
                    if isinstance(value, dict)
                    else "START_ARRAY"
                    if isinstance(value, list)
                    else "VALUE"
                )
                raise parsing(f"Unknown key for a {token} in [{name[:80]}].")
        body = with_params(body, ask)
        chosen, pit, until = self._chosen(ask, expression, body)
        scope = Scope(chosen.fields, self._indices.now_ms)
        asked = query.read(body["query"], scope) if body.get("query") is not None else ask_of.All()
        index = chosen.names[0] if chosen.names else "_all"
        holds = ask_of.both(chosen.holds, asked, *([until] if until is not None else []))
        narrowed = holds
        if body.get("post_filter"):
            narrowed = ask_of.both(holds, query.read(body["post_filter"], scope))
        try:
            keys = sorting.read_sort(body.get("sort"), scope)
        except Fault as fault:
            if fault.cause is None or not chosen.names:
                if fault.cause is None:
                    raise
                keys = ()
            else:
                raise search_phase(fault.cause, index) from None
        if keys and all(key.name == "_score" for key in keys):
            keys = ()
        shown = keys
        if (pit or scroll) and not any(key.store == "_doc" for key in keys):
            keys = (*keys, Key("_shard_doc", "_doc", False, "doc"))
        begin, size = whole(body, "from", 0), whole(body, "size", 10)
        hits.check_window(begin, size)
        after = sorting.after_of(body.get("search_after"), matched(keys, body.get("search_after")))
        if after is not None and begin > 0:
            raise argument("`from` parameter must be set to 0 when `search_after` is used")
        if body.get("min_score") is not None and float(body["min_score"]) > 1:
            narrowed = ask_of.Nothing()
        shape = hits.Shape(body, scope, asked, keys if pit else shown)
        reading = Reading(scope, lambda result, how: self._top(result, how, scope), ask.flag("typed_keys"))
        given = body.get("aggs", body.get("aggregations"))
        return Searched(
            ask.tenant, chosen, scope, holds, narrowed, keys, begin, size, after, shape,
            tracked(body.get("track_total_hits", True if scroll else None)),
            aggregations.read(given, reading) if given else {}, pit, reading.typed,
        )  # fmt: skip

    def _chosen(self, ask: Ask, expression: str, body: Body) -> tuple[Chosen, str, Filter | None]:
        """Where to search, and for a point in time until when."""
        pit = body.get("pit")
        if pit is None:
            return self._indices.choose(ask.tenant, expression, Lenience(ask.params)), "", None
        if not isinstance(pit, Mapping) or not isinstance(pit.get("id"), str):
            raise argument("[pit] an id must be provided")
        if expression:
            raise Fault(
                "action_request_validation_exception",
                "Validation Failed: 1: [indices] cannot be used with point in time. Do not specify any index with point in time.;",
            )
        there = self._points.get(ask.tenant, pit["id"], str(pit.get("keep_alive") or "")).value
        chosen = self._indices.choose(
            ask.tenant, ",".join(there["indices"]), Lenience({"ignore_unavailable": "true"})
        )
        return chosen, pit["id"], ask_of.Range("seen", lte=there["seen_ns"])

    # --- asking ------------------------------------------------------------------------------------------

    def run(self, searched: Searched) -> Told:
        """The answer. Raises Fault, Corrupt, Unavailable."""
        began = time.monotonic()
        found = self._find(searched)
        body = self._told(searched, found, searched.begin)
        if searched.counted:
            body["aggregations"] = self._count(searched)
        body["took"] = int((time.monotonic() - began) * 1000)
        if searched.pit:
            body["pit_id"] = searched.pit
        return body

    def _find(self, searched: Searched) -> Hits:
        order = tuple((key.store, key.descending) for key in searched.keys) or (("_doc", False),)
        holds, after = searched.narrowed, searched.after
        if after is not None and sorting.by_filter(searched.keys):
            holds, after = ask_of.both(holds, sorting.beyond(searched.keys, after)), None
            found = self._store.find(searched.tenant, holds, order, searched.size, track=False)
            return replace(found, total=self._store.count(searched.tenant, searched.narrowed))
        # One more than is told: so that "10,000 or more" is known from 10,000.
        track = True if searched.tracked is None else searched.tracked + 1 if searched.tracked else False
        return self._store.find(searched.tenant, holds, order, searched.begin + searched.size, after, track)

    def _told(self, searched: Searched, found: Hits, begin: int) -> Told:
        rows = [Found(one) for one in found.hits[begin : begin + searched.size]]
        score = searched.shape.score if rows else None
        made: Told = {}
        if searched.tracked != 0:
            exact = searched.tracked is None or found.total <= searched.tracked
            value = found.total if exact else searched.tracked
            made["total"] = {"value": value, "relation": "eq" if exact else "gte"}
        made["max_score"] = score
        made["hits"] = [searched.shape.hit(row) for row in rows]
        return {"took": 0, "timed_out": False, "_shards": shards(searched.chosen), "hits": made}

    def _count(self, searched: Searched) -> Told:
        narrow = {name: one.agg for name, one in searched.counted.items() if not one.everything}
        wide = {name: one.agg for name, one in searched.counted.items() if one.everything}
        results: dict[str, Any] = {}
        if searched.chosen.names:
            if narrow:
                results.update(self._store.aggregate(searched.tenant, searched.holds, narrow))
            if wide:
                results.update(self._store.aggregate(searched.tenant, searched.chosen.holds, wide))
        return aggregations.told(searched.counted, results, searched.typed)

    def _top(self, result: Any, how: Body, scope: Scope) -> Told:
        keys: tuple[Key, ...] = how["sort_keys"]
        shape = hits.Shape(how, scope, ask_of.All(), keys)
        found = [Found(one) for one in (result.hits if result is not None else ())]
        rows = found[how["from"] : how["from"] + how["size"]]
        return {
            "total": {"value": result.total if result is not None else 0, "relation": "eq"},
            "max_score": shape.score if rows and not keys else None,
            "hits": [shape.hit(row) for row in rows],
        }

    # --- what clients call -------------------------------------------------------------------------------

    def search(self, ask: Ask) -> Reply:
        expression, body = ask.part("index"), ask.json()
        if "scroll" in ask.params:
            return self._scroll(ask, expression, body)
        return Reply(totals(self.run(self.ready(ask, expression, body)), ask))

    def search_async(self, ask: Ask) -> Reply:
        """Done by the time it is answered: a client that would have waited need not come again."""
        begun = self._indices.now_ms
        response = self.run(self.ready(ask, ask.part("index"), ask.json()))
        now = self._indices.now_ms
        return Reply(
            {"is_partial": False, "is_running": False, "start_time_in_millis": begun,
             "expiration_time_in_millis": now + 432_000_000, "completion_time_in_millis": now,
             "response": totals(response, ask)}
        )  # fmt: skip

    def many(self, ask: Ask) -> Reply:
        """`_msearch`: pairs of lines, an answer or an error each."""
        lines = ask.lines() if b"\n\n" not in ask.body else pairs(ask.body)
        if not lines:
            raise Fault("action_request_validation_exception", "Validation Failed: 1: no requests added;")
        if len(lines) % 2:
            raise argument("The msearch request must be terminated by a newline [\\n]")
        began, responses = time.monotonic(), []
        for at in range(0, len(lines), 2):
            try:
                head = line_of(lines[at]) if lines[at].strip() else {}
                named = head.get("index", ask.part("index"))
                expression = ",".join(named) if isinstance(named, list) else str(named or "")
                params = {
                    **ask.params,
                    **{name: str(value).lower() for name, value in head.items() if name != "index"},
                }
                one = replace(ask, params=params, path={}, body=lines[at + 1])
                answer = totals(self.run(self.ready(one, expression, one.json())), one)
                responses.append({**answer, "status": 200})
            except WeatherglassError as error:
                status = error.status if isinstance(error, Fault) else status_of(error)
                responses.append(told(error, status))
        return Reply({"took": int((time.monotonic() - began) * 1000), "responses": responses})

    def count(self, ask: Ask) -> Reply:
        body = ask.json()
        for name in body:
            if name != "query":
                raise parsing(f"request does not support [{name[:80]}]")
        body = {"query": query_of(ask, body)} if query_of(ask, body) is not None else {}
        chosen = self._indices.choose(ask.tenant, ask.part("index"), Lenience(ask.params))
        scope = Scope(chosen.fields, self._indices.now_ms)
        asked = query.read(body["query"], scope) if body else ask_of.All()
        found = self._store.count(ask.tenant, ask_of.both(chosen.holds, asked))
        return Reply({"count": found, "_shards": shards(chosen)})

    def validate(self, ask: Ask) -> Reply:
        chosen = self._indices.choose(ask.tenant, ask.part("index"), Lenience(ask.params))
        made: Told = {"valid": True, "_shards": {"total": 1, "successful": 1, "failed": 0}}
        try:
            body = ask.json()
            unknown = next((name for name in body if name != "query"), None)
            if unknown is not None:
                raise parsing(f"request does not support [{unknown[:80]}]")
            wanted = query_of(ask, body)
            asked = (
                query.read(wanted, Scope(chosen.fields, self._indices.now_ms))
                if wanted is not None
                else ask_of.All()
            )
            explained = {"valid": True, "explanation": str(asked)[:2000]}
        except Fault as fault:
            made["valid"] = False
            explained = {"valid": False, "error": f"{fault.kind}: {fault.reason}"}
        if ask.flag("explain"):
            made["explanations"] = [{"index": name, **explained} for name in chosen.names]
        return Reply(made)

    # --- scrolls and points in time ----------------------------------------------------------------------

    def _scroll(self, ask: Ask, expression: str, body: Body) -> Reply:
        keep = ask.params["scroll"]
        if body.get("search_after") is not None:
            raise Fault(
                "action_request_validation_exception",
                "Validation Failed: 1: `search_after` cannot be used in a scroll context.;",
            )
        if whole(with_params(body, ask), "from", 0) > 0:
            raise Fault(
                "action_request_validation_exception",
                "Validation Failed: 1: using [from] is not allowed in a scroll context;",
            )
        searched = self.ready(ask, expression, body, scroll=True)
        if searched.size == 0:
            raise Fault(
                "action_request_validation_exception",
                "Validation Failed: 1: [size] cannot be [0] in a scroll context;",
            )
        until = ask_of.Range("seen", lte=self._clock.now_ns())
        searched.narrowed = ask_of.both(searched.narrowed, until)
        id = self._scrolls.add(ask.tenant, keep, searched)
        answer = self._page(searched)
        if searched.counted:
            answer["aggregations"] = self._count(searched)
        return Reply(totals({"_scroll_id": id, **answer}, ask))

    def _page(self, searched: Searched) -> Told:
        """The next page; the search goes on from its last hit."""
        found = self._find(searched)
        if found.hits:
            searched.after = tuple(found.hits[-1].sort[: len(searched.keys)])
        return self._told(searched, found, 0)

    def scroll(self, ask: Ask) -> Reply:
        body = (
            ask.json() if ask.body[:1] in (b"{", b"") else {"scroll_id": ask.body.decode("utf-8", "replace")}
        )
        id = str(body.get("scroll_id") or ask.params.get("scroll_id") or ask.part("id"))
        if not id:
            raise Fault("action_request_validation_exception", "Validation Failed: 1: scrollId is missing;")
        there = self._scrolls.get(ask.tenant, id, str(body.get("scroll") or ask.params.get("scroll") or ""))
        return Reply(totals({"_scroll_id": id, **self._page(there.value)}, ask))

    def unscroll(self, ask: Ask) -> Reply:
        body = ask.json() if ask.body[:1] in (b"{", b"") else {}
        given = body.get("scroll_id") or ask.params.get("scroll_id") or ask.part("id", "")
        ids = given if isinstance(given, list) else [one for one in str(given).split(",") if one]
        freed = sum(self._scrolls.drop(ask.tenant, str(id)) for id in ids)
        return Reply({"succeeded": True, "num_freed": freed}, 200 if freed else 404)

    def point(self, ask: Ask) -> Reply:
        if "keep_alive" not in ask.params:
            raise Fault(
                "action_request_validation_exception", "Validation Failed: 1: [keep_alive] is not specified;"
            )
        chosen = self._indices.choose(ask.tenant, ask.part("index"), Lenience(ask.params))
        there = {"indices": chosen.names, "seen_ns": self._clock.now_ns()}
        id = self._points.add(ask.tenant, ask.params["keep_alive"], there)
        return Reply({"id": id, "_shards": shards(chosen)})

    def close_point(self, ask: Ask) -> Reply:
        freed = self._points.drop(ask.tenant, str(ask.json().get("id", "")))
        return Reply({"succeeded": bool(freed), "num_freed": freed}, 200 if freed else 404)
