"""Login: the one page that is open to anyone. The doors behind its form (`POST /login`, tickets, logout) are the gateway's."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from weatherglass.portal.kit import Desk, Page

REFUSED = {
    "token": "That token is not known, or it has ended or was revoked.",
    "ticket": "That login address has expired or was used already. Each one opens one session.",
}


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/login")
    def login(request: Request) -> Response:
        there = request.query_params.get("next", "/")
        text = desk.templates.get_template("login/page.html").render(
            refused=REFUSED.get(request.query_params.get("error", ""), ""),
            there=there if there.startswith("/") and not there.startswith(("//", "/\\")) else "/",
        )
        return HTMLResponse(text)

    return router


PAGE = Page("Sign in", "/login", routes, order=300)
