"""Ledger: every change made by anyone through the house; who, what, on which entity, why, before and after."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.base.ids import SITE_TENANT
from weatherglass.identity import may
from weatherglass.portal.kit import Desk, Page, parse_instant

PER_PAGE = 100


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/ledger")
    def ledger(request: Request) -> Response:
        visit = desk.open(request)
        asked = request.query_params
        entity = asked.get("entity", "").strip() if visit.lens.operator else f"tenant/{visit.lens.tenant}"
        end = parse_instant(asked.get("end", ""))
        if visit.lens.operator:
            visit.allow("ledger.read")
        found = list(visit.rooms.ledger.read(entity=entity, end_ns=end, limit=PER_PAGE + 1))
        return visit.render(
            "ledger/page.html",
            current=PAGE.name,
            entries=[(entry, change(entry)) for entry in found[:PER_PAGE]],
            older=found[PER_PAGE].at_ns if len(found) > PER_PAGE else 0,
            asked=asked.get("entity", ""),
            end=end,
            whole=visit.lens.operator and may(visit.principal, "ledger.read", SITE_TENANT),
            live=() if end else ("entries",),
        )

    return router


def change(entry: Any) -> str:
    """Before and after, as a person reads them; empty where the entry has neither."""
    told = [
        f"{name}: {value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)}"
        for name, value in (("before", entry.before), ("after", entry.after))
        if value not in (None, "", {}, [])
    ]
    return "\n".join(told)


PAGE = Page("Ledger", "/ledger", routes, icon="M6 4h12v16H6zM9 8h6M9 12h6M9 16h3", key="l", order=70)
