"""Settings: tokens made and revoked, tenants with their limits, and what the house itself costs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.base.units import parse_duration
from weatherglass.engine.protocols import Role
from weatherglass.portal.kit import Desk, Page, Visit

ROLES = {
    "viewer": "reads what its tenants have",
    "member": "also writes for them",
    "operator": "also deploys and restarts",
    "admin": "also makes tokens and faults",
}
"""What each role may do, in a line."""


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    def show(visit: Visit, **more: Any) -> Response:
        site = visit.rooms.site()
        declared = dict(site.tenants) if site is not None else {}
        if not visit.lens.operator:
            declared = {n: t for n, t in declared.items() if n == visit.lens.tenant}
        used = usage(visit)
        return visit.render(
            "settings/page.html",
            current=PAGE.name,
            tokens=list(visit.rooms.identity.list()) if visit.may("token.list") else [],
            may_tokens=visit.may("token.create"),
            roles=ROLES,
            tenants=[(t, used.get(n, {})) for n, t in sorted(declared.items())],
            costs=visit.rooms.costs() if visit.lens.operator else {},
            kept=kept(visit) if visit.lens.operator else [],
            **{"issued": None, **more},
        )

    @router.get("/settings")
    def settings(request: Request) -> Response:
        return show(desk.open(request))

    @router.post("/settings/tokens")
    def create(
        request: Request,
        csrf: str = Form(""),
        name: str = Form(""),
        role: str = Form("member"),
        tenants: str = Form(""),
        ttl: str = Form(""),
        why: str = Form(""),
    ) -> Response:
        visit = desk.open(request)
        visit.check_form(csrf)
        visit.allow("token.create")
        if role not in ROLES:
            raise Invalid(
                f"{role!r} is not a role for people.", where="role", mend=f"one of {', '.join(ROLES)}"
            )
        try:
            seconds = parse_duration(ttl) if ttl.strip() else 0.0
        except ValueError as error:
            raise Invalid(str(error), where="ttl", mend="leave it empty for a token that stays") from error
        whose = tuple(t.strip() for t in tenants.replace(",", " ").split()) or ("*",)
        _, token = visit.rooms.identity.create(
            name.strip(), Role(role), whose, seconds, who=visit.principal.name, why=why
        )
        return show(visit, issued=(name.strip(), token))

    @router.post("/settings/tokens/revoke")
    def revoke(
        request: Request,
        csrf: str = Form(""),
        id: str = Form(""),
        confirm: str = Form(""),
        why: str = Form(""),
    ) -> Response:
        visit = desk.open(request)
        visit.check_form(csrf)
        visit.allow("token.revoke")
        known = {t.id: t.name for t in visit.rooms.identity.list()}
        if known.get(id) != confirm:
            raise Invalid("The name typed is not the token's.", where="confirm", mend="type its name")
        visit.rooms.identity.revoke(id, who=visit.principal.name, why=why)
        return visit.redirect("/settings")

    return router


def usage(visit: Visit) -> dict[str, dict[str, Any]]:
    """What each tenant holds, as the metrics room counts it."""
    found = visit.rooms.metrics.stats().get("tenants", {})
    return dict(found) if isinstance(found, dict) else {}


def kept(visit: Visit) -> list[tuple[str, str, float]]:
    """(what, unit, how much) of what is stored."""
    rows = []
    try:
        samples, events = visit.rooms.metrics.stats(), visit.rooms.logs.stats()
    except WeatherglassError:
        return []
    for what, source, key, unit in (
        ("Series", samples, "series", ""),
        ("Samples", samples, "samples", ""),
        ("Samples on disk", samples, "bytes", "B"),
        ("Events", events, "events", ""),
        ("Events on disk", events, "bytes_stored", "B"),
    ):
        value = source.get(key)
        if isinstance(value, int | float):
            rows.append((what, unit, float(value)))
    return rows


PAGE = Page(
    "Settings",
    "/settings",
    routes,
    icon="M15 12a3 3 0 1 1-6 0 3 3 0 0 1 6 0M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M18.4 5.6l-2.1 2.1M7.7 16.3l-2.1 2.1",
    key="s",
    order=80,
)
