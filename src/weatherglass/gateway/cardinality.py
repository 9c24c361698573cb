"""`/api/v1/metrics/cardinality`: how many series there are, what they differ by, who makes new ones."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid
from weatherglass.gateway import openapi
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.openapi import RESPONSES, answer

_MOST = 1000


def routes(context: Context) -> APIRouter:
    rooms, pool = context.rooms, context.pool
    router = APIRouter(prefix="/api/v1/metrics", responses=RESPONSES)

    @router.get(
        "/cardinality",
        summary="Series counted: by metric, by label, by pair, and new ones of the last hour.",
        openapi_extra=openapi.query(limit="how many of each (10; 1000)"),
    )
    async def cardinality(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        limit = request.query_params.get("limit", "10")
        if not limit.isdigit() or not 0 < int(limit) <= _MOST:
            raise Invalid(f"{limit[:20]!r} is no limit", where="limit", mend=f"1 to {_MOST}")
        return answer(await pool.run(rooms.metrics.cardinality, tenant, int(limit)))

    return router
