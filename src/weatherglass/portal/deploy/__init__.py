"""Deploy: what is live, what differs and why, what would change, what is under way, and the way back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from weatherglass.base.errors import Conflict, Invalid, NotFound, WeatherglassError
from weatherglass.portal.kit import Desk, Page

CHANGES_AT_MOST = 200


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/deploy")
    def deploy(request: Request) -> Response:
        visit = desk.open(request)
        visit.operator_only()
        visit.allow("deploy.read")
        room = visit.rooms.deploy
        problem: WeatherglassError | None = None
        drift: Any = None
        try:
            drift = room.drift()
        except WeatherglassError as error:
            problem = error
        generations = sorted(room.generations(), key=lambda g: -g.number)
        site = visit.rooms.site()
        return visit.render(
            "deploy/page.html",
            current=PAGE.name,
            generations=generations[:50],
            standing=room.status(),
            drift=changes(drift),
            problem=problem,
            runs=list(room.runs(limit=12)),
            may_rollback=visit.may("deploy.rollback"),
            may_plan=visit.may("deploy.plan"),
            down=sorted({id for change in (drift.changes if drift else ()) for id in change.takes_down}),
            source=site.source if site is not None else "",
            live=("say", "drift", "runs", "generations"),
        )

    @router.get("/deploy/plan")
    def plan(request: Request) -> Response:
        """What an apply would change now; every host is asked, so it may take a moment."""
        visit = desk.open(request)
        visit.operator_only()
        visit.allow("deploy.plan")
        found = visit.rooms.deploy.plan()
        return visit.render(
            "deploy/plan.html",
            current=PAGE.name,
            changes=changes(found),
            notes=found.notes,
            generation=found.generation,
            may_apply=visit.may("deploy.apply"),
            site=visit.rooms.site(),
        )

    @router.get("/deploy/runs/{number}")
    def run(request: Request, number: str) -> Response:
        visit = desk.open(request)
        visit.operator_only()
        visit.allow("deploy.read")
        if not number.isdigit() or len(number) > 18:
            raise NotFound(f"There is no run {number}.", mend="the deploy page lists them")
        view = visit.rooms.deploy.run(int(number))
        return visit.render(
            "deploy/run.html",
            current=PAGE.name,
            run=view,
            live=("say", "run") if view.state == "running" else (),
        )

    @router.post("/deploy/apply")
    def apply(
        request: Request, csrf: str = Form(""), confirm: str = Form(""), why: str = Form("")
    ) -> Response:
        visit = desk.open(request)
        visit.check_form(csrf)
        visit.allow("deploy.apply")
        site = visit.rooms.site()
        if site is None or confirm != site.name:
            raise Invalid("The name typed is not the site's.", where="confirm", mend="type the site's name")
        number = visit.rooms.deploy.apply(None, who=visit.principal.name, why=why)
        return visit.redirect(f"/deploy/runs/{number}")

    @router.post("/deploy/rollback")
    def rollback(
        request: Request,
        csrf: str = Form(""),
        to: str = Form(""),
        confirm: str = Form(""),
        why: str = Form(""),
    ) -> Response:
        visit = desk.open(request)
        visit.check_form(csrf)
        visit.allow("deploy.rollback")
        known = {str(g.number) for g in visit.rooms.deploy.generations()}
        if to not in known:
            raise Conflict(f"There is no generation {to}.", mend="reload the page")
        if confirm != f"generation {to}":
            raise Invalid("What was typed is not it.", where="confirm", mend=f"type generation {to}")
        number = visit.rooms.deploy.rollback(who=visit.principal.name, why=why, to=int(to))
        return visit.redirect(f"/deploy/runs/{number}")

    return router


def changes(plan: Any) -> list[tuple[str, str, str, list[Any], tuple[str, ...], str]]:
    """(unit, action, host, reasons, what goes down, whether it can be undone) of a plan's first changes."""
    if plan is None:
        return []
    return [
        (c.unit.id, c.action, c.unit.host, list(c.reasons), tuple(c.takes_down), c.undo)
        for c in plan.changes[:CHANGES_AT_MOST]
    ]


PAGE = Page(
    "Deploy",
    "/deploy",
    routes,
    icon="M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
    key="d",
    order=50,
    operator_only=True,
)
