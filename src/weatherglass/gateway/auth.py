"""Who asks, over HTTP: bearer tokens, session cookies with CSRF tokens, logging in and out, and the origin guard.

Everything is closed but PUBLIC. What a principal may do is `identity.permissions`' to say; routes call `allow`.
The login page itself is the portal's; the doors it uses (`POST /login`, `GET /login?ticket=`, `/logout`) are here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weatherglass.base.errors import Denied, Invalid, Unauthenticated
from weatherglass.base.ids import SITE_TENANT
from weatherglass.engine.protocols import Principal
from weatherglass.gateway.logins import Login
from weatherglass.gateway.pool import Pool
from weatherglass.gateway.rooms import IdentityRoom
from weatherglass.identity import allow

COOKIE = "wg_session"
TENANT_HEADER = "x-weatherglass-tenant"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"

PUBLIC = frozenset({"/-/healthy", "/-/ready", "/login"})
PUBLIC_UNDER = ("/static/",)
"""What answers without a token: health, the login page, and the portal's assets (styles and scripts, no data)."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_API_UNDER = ("/api/", "/prometheus/", "/gnocchi/", "/-/")
_SESSION_S = 12 * 3600


def is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_UNDER)


class Auth:
    """ASGI: puts the principal into `scope["state"]`, or refuses. Refuses what comes from another origin."""

    def __init__(
        self,
        app: ASGIApp,
        identity: IdentityRoom,
        pool: Pool,
        anyone: Principal | None = None,
        logins: Sequence[Login] = (),
    ) -> None:
        """`anyone` is who asks where no token is asked; None: nobody is let in without one. `logins` are the
        protocols that have a way in of their own."""
        self._app, self._identity, self._pool, self._anyone = app, identity, pool, anyone
        self._logins = logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            raise Denied("no web sockets are spoken here")
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        login = next(
            (one for one in self._logins if path == one.prefix or path.startswith(one.prefix + "/")),
            None,
        )
        if login is not None and await self._by(login, scope, headers, path):
            await self._app(scope, receive, send)
            return
        same_origin(headers, scope["method"])
        session = session_of(headers)
        try:
            principal = await self._principal(headers, session)
        except Unauthenticated:
            if is_public(path):
                principal = None
            elif wants_page(headers, scope["method"], path):
                await RedirectResponse(login_address(scope), 303)(scope, receive, send)
                return
            else:
                raise
        state = scope.setdefault("state", {})
        state["principal"], state["session"], state["csrf"] = principal, "", ""
        if principal is not None and principal is not self._anyone and "authorization" not in headers:
            state["session"], state["csrf"] = session, self._identity.csrf(session)
            if scope["method"] not in _SAFE and path != "/login":
                receive = await self._csrf(headers, session, receive)
        await self._app(scope, receive, send)

    async def _by(self, login: Login, scope: Scope, headers: Headers, path: str) -> bool:
        """Let somebody in by their protocol's own way; whether they came by it. Raises Unauthenticated, Denied."""
        state = scope.setdefault("state", {})
        state["principal"], state["session"], state["csrf"], state["who"] = None, "", "", None
        if scope["method"] == "OPTIONS" or path in login.open:
            return True  # what a browser asks before it asks; nothing is told but whose pages may
        if headers.get("origin") not in login.origins:
            same_origin(headers, scope["method"])
        found = await self._pool.run(login.find, headers)
        if found is None:
            return False
        state["principal"], state["who"] = found
        return True

    async def _principal(self, headers: Headers, session: str) -> Principal:
        if self._anyone is not None:
            return self._anyone
        bearer = headers.get("authorization")
        if bearer is not None:
            scheme, _, token = bearer.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("only bearer tokens are accepted", mend="Authorization: Bearer wg_…")
            return await self._pool.run(self._identity.resolve, token.strip())
        if session:
            return await self._pool.run(self._identity.session, session)
        raise Unauthenticated(
            "this needs a token", mend="send Authorization: Bearer wg_…, or log in at /login"
        )

    async def _csrf(self, headers: Headers, session: str, receive: Receive) -> Receive:
        """Check the CSRF token of a write by session: from the header, or a form's field (its body is replayed)."""
        given = headers.get(CSRF_HEADER, "")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if not given and kind == "application/x-www-form-urlencoded":
            body, receive = await _taken(receive)
            given = parse_qs(body.decode("utf-8", "replace")).get(CSRF_FIELD, [""])[0]
        if not self._identity.csrf_holds(session, given):
            raise Denied(
                "the form is stale: its CSRF token is missing or of another session",
                where=CSRF_HEADER,
                mend="load the page again",
            )
        return receive


async def _taken(receive: Receive) -> tuple[bytes, Receive]:
    """The whole body, and a `receive` that gives it once more."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Invalid("the body ended early", where="body")
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again


def same_origin(headers: Headers, method: str) -> None:
    """Refuse what a page of another origin sends. Raises Denied. (Fetch §Origin; Fetch Metadata.)"""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise Denied("requests from other origins are refused", where="Origin")
    site = headers.get("sec-fetch-site", "none")
    navigates = method in _SAFE and headers.get("sec-fetch-mode") == "navigate"
    if site not in ("none", "same-origin") and not navigates:
        raise Denied("requests from other origins are refused", where="Sec-Fetch-Site")


def session_of(headers: Headers) -> str:
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def login_address(scope: Scope) -> str:
    query = scope["query_string"].decode("ascii", "replace")
    there = scope["path"] + (f"?{query}" if query else "")
    return "/login" if there == "/" else f"/login?next={quote(there, safe='')}"


def wants_page(headers: Headers, method: str, path: str) -> bool:
    """Whether a browser asks for what would be a page, not for an API's answer."""
    return (
        method in ("GET", "HEAD")
        and not path.startswith(_API_UNDER)
        and "text/html" in headers.get("accept", "")
    )


def principal_of(request: Request) -> Principal:
    """Who asks; every route but the public ones has one."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise Unauthenticated("this needs a token")
    return principal


def tenant_of(principal: Principal, headers: Headers) -> str:
    """The partition that a request is about: chosen by header among those allowed. Raises Denied.

    Without the header: `site` where it may be seen, else the first.
    """
    chosen = headers.get(TENANT_HEADER)
    if chosen is None:
        return SITE_TENANT if principal.may_see(SITE_TENANT) else principal.tenants[0]
    if not principal.may_see(chosen):
        raise Denied(
            f"{principal.name} may not see tenant {chosen!r}",
            where=TENANT_HEADER,
            mend=f"one of {', '.join(principal.tenants)}",
        )
    return chosen


def allowed(request: Request, action: str) -> tuple[Principal, str]:
    """(who asks, for which tenant), once `action` is theirs to do there. Raises Denied."""
    principal = principal_of(request)
    tenant = tenant_of(principal, request.headers)
    allow(principal, action, tenant)
    return principal, tenant


def allowed_on_site(request: Request, action: str) -> Principal:
    """Who asks, once `action` is theirs to do on the cloud itself. Raises Denied."""
    principal = principal_of(request)
    allow(principal, action, SITE_TENANT)
    return principal


# --- logging in and out ----------------------------------------------------------------------------------


class TicketRoute(Route):
    """`GET /login?ticket=…` alone; `GET /login` stays the portal's page."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and not QueryParams(scope["query_string"]).get("ticket"):
            return Match.NONE, {}
        return super().matches(scope)


def routes(identity: IdentityRoom, pool: Pool) -> Iterable[BaseRoute]:
    """The doors of logging in and out."""

    async def with_ticket(request: Request) -> Response:
        try:
            session = await pool.run(identity.redeem, request.query_params["ticket"])
        except Unauthenticated:
            return RedirectResponse("/login?error=ticket", 303)
        return _enter(request, session, request.query_params.get("next", "/"))

    async def with_token(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        there = fields.get("next", ["/"])[0]
        try:
            session = await pool.run(identity.login, fields.get("token", [""])[0].strip())
        except Unauthenticated:
            return RedirectResponse(f"/login?error=token&next={quote(_local(there), safe='')}", 303)
        return _enter(request, session, there)

    async def out(request: Request) -> Response:
        if request.state.session:
            await pool.run(identity.logout, request.state.session)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    return [
        TicketRoute("/login", with_ticket, methods=["GET"]),
        Route("/login", with_token, methods=["POST"]),
        Route("/logout", out, methods=["POST"]),
    ]


def _enter(request: Request, session: str, there: str) -> Response:
    response = RedirectResponse(_local(there), 303)
    response.set_cookie(
        COOKIE,
        session,
        max_age=_SESSION_S,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


def _local(there: str) -> str:
    """A path on this server, or `/`: never an address elsewhere (`//evil`, `/\\\\evil`, `https:…`)."""
    plain = there.startswith("/") and not there.startswith(("//", "/\\")) and there.isprintable()
    return there if plain else "/"
