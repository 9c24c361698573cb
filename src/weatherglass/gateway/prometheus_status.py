"""`/prometheus/api/v1/{status,targets,rules,alerts,admin}`: what the server is, and the life of its data.

What no room here keeps is answered with empty lists of the right form: Grafana and promtool ask for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from weatherglass import __version__
from weatherglass.base.errors import Invalid
from weatherglass.base.time import SECOND_NS
from weatherglass.gateway import prometheus_asked as ask
from weatherglass.gateway import prometheus_json as form
from weatherglass.gateway.auth import allowed, allowed_on_site
from weatherglass.gateway.context import Context

SPOKEN = "3.5.0"
"""The version that clients take us for: they look at its first number."""
_TOP = 10

_EMPTY: dict[str, Any] = {
    "targets": {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}},
    "targets/metadata": [],
    "scrape_pools": {"scrapePools": []},
    "rules": {"groups": []},
    "alerts": {"alerts": []},
    "alertmanagers": {"activeAlertmanagers": [], "droppedAlertmanagers": []},
    "notifications": [],
}


def routes(context: Context, prefix: str) -> Iterable[BaseRoute]:
    rooms, pool = context.rooms, context.pool
    started = datetime.now(UTC).isoformat().replace("+00:00", "Z")

    def empty(path: str) -> Route:
        async def answer(request: Request) -> Response:
            _, tenant = allowed(request, "metrics.read")
            tell = getattr(rooms.more.get("scrape"), "prometheus", None)
            found = await pool.run(tell, path, tenant, dict(request.query_params)) if tell else None
            return form.response(request, form.success(_EMPTY[path] if found is None else found))

        return Route(f"{prefix}/{path}", answer, methods=["GET"])

    def told(path: str, tell: Any) -> Route:
        async def answer(request: Request) -> Response:
            _, tenant = allowed(request, "metrics.read")
            return form.response(request, form.success(await pool.run(tell, tenant)))

        return Route(f"{prefix}/status/{path}", answer, methods=["GET"])

    def buildinfo(tenant: str) -> dict[str, str]:
        # no `features`: with them Grafana would take this for Mimir
        told = {"version": SPOKEN, "revision": f"weatherglass-{__version__}", "branch": "", "buildUser": ""}
        return {**told, "buildDate": "", "goVersion": ""}

    def runtimeinfo(tenant: str) -> dict[str, Any]:
        return {
            "startTime": started, "CWD": "", "hostname": "", "serverTime": datetime.now(UTC).isoformat(),
            "reloadConfigSuccess": True, "lastConfigTime": started, "corruptionCount": 0, "goroutineCount": 0,
            "GOMAXPROCS": os.cpu_count() or 1, "GOMEMLIMIT": 0, "GOGC": "", "GODEBUG": "", "storageRetention": "",
        }  # fmt: skip

    async def tsdb(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        most = ask.limit(await ask.asked_of(request)) or _TOP

        def tell() -> dict[str, Any]:
            own = rooms.metrics.stats().get("tenants", {}).get(tenant, {})
            return head_of(rooms.metrics.cardinality(tenant, min(most, 10_000)), own)

        return form.response(request, form.success(await pool.run(tell)))

    async def delete_series(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.delete")
        asked = await ask.asked_of(request)
        selectors = ask.selectors(asked)
        if not selectors:
            raise Invalid("no match[] parameter provided", where="match[]", mend='match[]=up{job="x"}')
        start, end = ask.bounds(asked)
        await pool.run(rooms.metrics.delete, tenant, selectors, start, end)
        return Response(status_code=204)

    async def clean_tombstones(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.delete")
        await pool.run(rooms.metrics.clean, tenant)
        return Response(status_code=204)

    async def snapshot(request: Request) -> Response:
        allowed_on_site(request, "backup")
        now = rooms.clock.now_ns()
        name = f"{datetime.fromtimestamp(now / SECOND_NS, UTC):%Y%m%dT%H%M%SZ}-{now % SECOND_NS:09x}"
        folder = rooms.state / "snapshots" / name
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        await pool.run(rooms.metrics.snapshot, folder)
        return form.response(request, form.success({"name": name}))

    writes = ["POST", "PUT"]
    return [
        *(empty(path) for path in _EMPTY),
        told("buildinfo", buildinfo),
        told("runtimeinfo", runtimeinfo),
        told("config", lambda tenant: {"yaml": ""}),
        told("flags", lambda tenant: flags(experimental=rooms.promql_experimental)),
        told("walreplay", lambda tenant: {"min": 0, "max": 0, "current": 0, "state": "done"}),
        Route(f"{prefix}/status/tsdb", tsdb, methods=["GET"]),
        Route(f"{prefix}/admin/tsdb/delete_series", delete_series, methods=writes),
        Route(f"{prefix}/admin/tsdb/clean_tombstones", clean_tombstones, methods=writes),
        Route(f"{prefix}/admin/tsdb/snapshot", snapshot, methods=writes),
    ]


def flags(*, experimental: bool) -> dict[str, str]:
    """What would be flags of Prometheus' own."""
    features = "promql-experimental-functions,promql-delayed-name-removal,promql-duration-expr"
    return {
        "enable-feature": features if experimental else "",
        "query.lookback-delta": "5m",
        "query.timeout": f"{ask.QUERY_S:g}s",
        "web.enable-admin-api": "true",
        "web.enable-remote-write-receiver": "true",
        "web.external-url": "",
    }


def head_of(found: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """A tenant's `Cardinality`, and what the store counts of it, in Prometheus' form."""

    def top(counted: Any) -> list[dict[str, Any]]:
        return [{"name": name, "value": n} for name, n in counted]

    return {
        "headStats": {
            "numSeries": found.series, "numLabelPairs": found.pairs, "chunkCount": int(own.get("blocks", 0)),
            "minTime": int(own.get("first_ms", 0)), "maxTime": int(own.get("last_ms", 0)),
        },
        "seriesCountByMetricName": top(found.by_metric),
        "labelValueCountByLabelName": top(found.by_label),
        "memoryInBytesByLabelName": top(found.by_label_bytes),
        "seriesCountByLabelValuePair": top(found.by_pair),
    }  # fmt: skip
