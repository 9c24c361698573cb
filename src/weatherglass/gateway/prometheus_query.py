"""`/prometheus/api/v1/query…`: PromQL asked, explained, laid out. Forming of results is in `prometheus_json`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MultiDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import Invalid, LimitExceeded, TooLarge
from weatherglass.base.time import MS_NS
from weatherglass.gateway import prometheus_asked as ask
from weatherglass.gateway import prometheus_json as form
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.errors import Unexecuted

if TYPE_CHECKING:
    from weatherglass.metrics.promql import Query
    from weatherglass.metrics.types import QueryResult

BOTH = ["GET", "POST"]


def routes(context: Context, prefix: str) -> Iterable[BaseRoute]:
    rooms, pool = context.rooms, context.pool
    experimental = rooms.promql_experimental

    def answered(
        asked: MultiDict, bounds: tuple[int, int, int], run: Callable[[Query], QueryResult]
    ) -> tuple[bytes, Query]:
        from weatherglass.metrics.promql import Query

        query = Query(*bounds, ask.options(asked, experimental=experimental))
        ask.parsed(ask.needed(asked, "query"), query.options)
        most = ask.limit(asked)
        began = time.perf_counter()
        try:
            found = run(query)
        except (Invalid, LimitExceeded, TooLarge) as why:
            raise Unexecuted(why.message, where=why.where, mend=why.mend) from why
        took = time.perf_counter() - began
        stats = form.stats(query.trace.samples, took, found) if asked.get("stats") else None
        plan = explained(query, took) if asked.get("explain") else None
        return form.result(found, limit=most, stats=stats, plan=plan), query

    async def query(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await ask.asked_of(request)
        at_ms = ask.instant(asked, "time", rooms.clock.now_ns() // MS_NS)
        expr = ask.needed(asked, "query")
        bounds = (at_ms, at_ms, 1)
        body, _ = await pool.run(
            lambda: answered(asked, bounds, lambda q: rooms.metrics.query(tenant, expr, at_ms, q))
        )
        return form.response(request, body)

    async def query_range(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await ask.asked_of(request)
        expr = ask.needed(asked, "query")
        bounds = ask.span(asked)
        body, _ = await pool.run(
            lambda: answered(asked, bounds, lambda q: rooms.metrics.query_range(tenant, expr, *bounds, q))
        )
        return form.response(request, body)

    async def explain(request: Request) -> Response:
        """The query is run, and what every node of it took is told instead of its result."""
        _, tenant = allowed(request, "metrics.read")
        asked = await ask.asked_of(request)
        asked["explain"] = "1"
        expr = ask.needed(asked, "query")
        at_ms = ask.instant(asked, "time", rooms.clock.now_ns() // MS_NS)
        bounds = ask.span(asked) if asked.get("step") else (at_ms, at_ms, 1)

        def run() -> bytes:
            began = time.perf_counter()

            def asked_of_room(q: Query) -> QueryResult:
                found: QueryResult
                if bounds[1] > bounds[0]:
                    found = rooms.metrics.query_range(tenant, expr, *bounds, q)
                else:
                    found = rooms.metrics.query(tenant, expr, at_ms, q)
                return found

            _, seen = answered(asked, bounds, asked_of_room)
            return form.success(explained(seen, time.perf_counter() - began))

        return form.response(request, await pool.run(run))

    def tree_of(asked: MultiDict) -> tuple[Any, Any]:
        from weatherglass.metrics.promql.printer import Printer

        text = ask.needed(asked, "query")
        tree = ask.parsed(text, ask.options(MultiDict(), experimental=experimental))
        return tree, Printer(text)

    async def format_query(request: Request) -> Response:
        allowed(request, "metrics.read")
        tree, printer = tree_of(await ask.asked_of(request))
        return form.response(request, form.success(printer.pretty(tree)))

    async def parse_query(request: Request) -> Response:
        allowed(request, "metrics.read")
        tree, printer = tree_of(await ask.asked_of(request))
        return form.response(request, form.success(printer.tree(tree)))

    async def exemplars(request: Request) -> Response:
        """Exemplars of every series that a selector of the query finds."""
        _, tenant = allowed(request, "metrics.read")
        asked = await ask.asked_of(request)
        start, end = ask.bounds(asked)
        from weatherglass.metrics.promql.ast import selectors

        wanted = [one.matchers for one in selectors(tree_of(asked)[0])]
        found = await pool.run(rooms.metrics.exemplars, tenant, wanted, start, end)
        return form.response(request, form.success([form.exemplars(*one) for one in found]))

    return [
        Route(f"{prefix}/query", query, methods=BOTH),
        Route(f"{prefix}/query_range", query_range, methods=BOTH),
        Route(f"{prefix}/explain", explain, methods=BOTH),
        Route(f"{prefix}/format_query", format_query, methods=BOTH),
        Route(f"{prefix}/parse_query", parse_query, methods=BOTH),
        Route(f"{prefix}/query_exemplars", exemplars, methods=BOTH),
    ]


def explained(query: Query, seconds: float) -> dict[str, Any]:
    """The plan and the cost of a query that was run."""
    return {
        "plan": [one.as_dict() for one in query.trace.roots],
        "samples": query.trace.samples,
        "ms": round(seconds * 1000, 3),
    }
