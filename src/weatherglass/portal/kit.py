"""The kit of pages: what a page is, what one visit knows, how it is rendered and refused.

A page is a package here with a `PAGE`; `app` finds it by listing, the shell puts it into the navigation. The
principal always comes from `request.state.principal`, set by the gateway from a token or a session.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from weatherglass.base.errors import Denied, Invalid, NotFound, Unauthenticated, WeatherglassError
from weatherglass.base.ids import SITE_TENANT, kind_of
from weatherglass.base.time import SECOND_NS, parse_iso
from weatherglass.base.units import parse_duration
from weatherglass.engine.protocols import Principal
from weatherglass.identity import allow, may
from weatherglass.portal import charts, words
from weatherglass.portal.rooms import Rooms
from weatherglass.portal.web import Web, restrict, visible, weave

HERE = Path(__file__).parent

STATUS = {
    "invalid": 400,
    "unauthenticated": 401,
    "denied": 403,
    "not-found": 404,
    "conflict": 409,
    "too-large": 413,
    "limit": 429,
    "unavailable": 503,
}


LEAST_SPAN_NS = 60 * SECOND_NS
"""No chart of the present spans less, however young the house."""


@dataclass(frozen=True)
class Page:
    """One page of the portal: where it is, how it stands in the navigation, and its routes."""

    name: str
    path: str
    routes: Callable[[Desk], APIRouter]
    icon: str = ""  # SVG path data on a 24 × 24 grid; none keeps it out of the navigation
    key: str = ""  # the letter after `g`
    order: int = 100
    operator_only: bool = False


@dataclass(frozen=True)
class Lens:
    """Through whose eyes: an operator's (`tenant` empty) or one tenant's."""

    tenant: str = ""

    @property
    def operator(self) -> bool:
        return not self.tenant

    @property
    def partition(self) -> str:
        """Whose samples and events are read."""
        return self.tenant or SITE_TENANT


class Desk:
    """What every page shares: the rooms, the templates, the list of pages."""

    def __init__(self, rooms: Rooms, pages: tuple[Page, ...], folders: Mapping[str, Path]) -> None:
        self.rooms, self.pages = rooms, pages
        self._woven: tuple[Any, Web] | None = None
        self.templates = Environment(
            loader=ChoiceLoader(
                [
                    PrefixLoader({name: FileSystemLoader(folder) for name, folder in folders.items()}),
                    FileSystemLoader(HERE / "templates"),
                ]
            ),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters.update(words.FILTERS)
        self.templates.globals.update(
            draw=charts.draw, spark=charts.spark, asset=_asset, weather=words.WEATHER, kind_of=kind_of
        )

    def web(self, at_ns: int = 0) -> Web:
        """The graph, woven once as long as inventory hands out the same one."""
        graph = self.rooms.inventory.graph(at_ns) if at_ns else self.rooms.inventory.graph()
        known = self._woven
        if known is not None and known[0] is graph:
            return known[1]
        woven = weave(graph)
        if not at_ns:
            self._woven = (graph, woven)
        return woven

    def open(self, request: Request) -> Visit:
        """Who is here and what they may see. Raises Unauthenticated, Denied."""
        principal = getattr(request.state, "principal", None)
        if principal is None:
            raise Unauthenticated("Nobody is signed in.", mend="sign in with a token")
        site = self.rooms.site()
        declared = site.tenants if site is not None else {}
        lens = _lens(principal, request.query_params.get("lens", ""), declared)
        return Visit(self, request, principal, lens)

    def routed(self) -> APIRouter:
        """A router whose errors become pages."""
        return APIRouter(route_class=_page_route(self), include_in_schema=False)


class Visit:
    """One request by one principal through one lens. Pages read the house through this, never around it."""

    def __init__(self, desk: Desk, request: Request, principal: Principal, lens: Lens) -> None:
        self.desk, self.request, self.principal, self.lens = desk, request, principal, lens
        self.rooms = desk.rooms
        self.now_ns = self.rooms.clock.now_ns()

    @cached_property
    def web(self) -> Web:
        """The graph as this visit may see it."""
        return self.narrow(self.desk.web())

    def narrow(self, web: Web) -> Web:
        return web if self.lens.operator else restrict(web, visible(web, self.lens.tenant))

    @cached_property
    def states(self) -> Mapping[str, Any]:
        """StateRecord by entity, only of what may be seen."""
        every = self.rooms.inventory.states()
        return every if self.lens.operator else {id: r for id, r in every.items() if self.sees(id)}

    @cached_property
    def open_incidents(self) -> list[Any]:
        return [i for i in self.rooms.inventory.incidents(open_only=True) if self.concerns(i)]

    def sees(self, entity: str) -> bool:
        return self.lens.operator or entity in self.web.entities

    def concerns(self, incident: Any) -> bool:
        """Whether an incident is any of this lens's business: a tenant's own alone."""
        return self.lens.operator or f"tenant/{self.lens.tenant}" in map(str, incident.tenants)

    def state(self, entity: str, records: Mapping[str, Any] | None = None) -> str:
        """One of the five words; empty for what is never judged. `records` are states of another time."""
        record = (self.states if records is None else records).get(entity)
        if record is not None:
            return words.state_word(record.state)
        return "" if kind_of(entity) in words.UNJUDGED else "unknown"

    def may(self, action: str) -> bool:
        """Whether the principal may do `action` on the cloud itself; never through a tenant's lens."""
        return self.lens.operator and may(self.principal, action, SITE_TENANT)

    def allow(self, action: str) -> None:
        """Raises Denied, saying what is needed."""
        allow(self.principal, action, SITE_TENANT)

    def operator_only(self) -> None:
        if not self.lens.operator:
            raise Denied(
                "This page belongs to the operators of the cloud.", mend="the overview shows what is yours"
            )

    @cached_property
    def began_ns(self) -> int:
        """When the first generation was applied; 0 before that."""
        return min((int(g.at_ns) for g in self.rooms.deploy.generations()), default=0)

    def since(self, start_ns: int) -> int:
        """The start of a span, no earlier than there is anything to show: a young house fills its charts."""
        return max(start_ns, min(self.began_ns, self.now_ns - LEAST_SPAN_NS))

    # --- addresses and forms ---

    def href(self, path: str, **query: Any) -> str:
        """An address in the portal that keeps the lens; empty values are left out."""
        given = self.request.query_params.get("lens", "")
        pairs = {k: v for k, v in query.items() if v not in ("", None)}
        if given and "lens" not in pairs:
            pairs["lens"] = given
        return quote(path, safe="/@:+.~-") + (f"?{urlencode(pairs)}" if pairs else "")

    def here(self, **query: Any) -> str:
        """This page's address with some of its query changed."""
        return self.href(self.request.url.path, **{**dict(self.request.query_params), **query})

    @property
    def session(self) -> str:
        return str(getattr(self.request.state, "session", ""))

    @cached_property
    def csrf(self) -> str:
        return str(self.rooms.identity.csrf(self.session)) if self.session else ""

    def check_form(self, token: str) -> None:
        """Raises Denied unless the form came from a page of ours. A bearer token cannot be sent by another site."""
        if self.session and not self.rooms.identity.csrf_holds(self.session, token):
            raise Denied(
                "This form is too old or came from elsewhere.", mend="reload the page and send it again"
            )

    # --- answers ---

    def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """The page, in the shell. `live` names the ids that are renewed when something changes, or at a `pace` (s);
        `renewed` is their address where it is not the page's own."""
        values.setdefault("live", ())
        values.setdefault("pace", 0)
        values.setdefault("renewed", "")
        values.setdefault("current", "")
        text = self.desk.templates.get_template(template).render(
            visit=self,
            lens=self.lens,
            now_ns=self.now_ns,
            href=self.href,
            here=self.here,
            shell=_shell(self),
            **values,
        )
        return HTMLResponse(text, status, headers={"cache-control": "no-store"})

    def redirect(self, path: str, **query: Any) -> Response:
        return RedirectResponse(self.href(path, **query), 303)


def parse_span(text: str, otherwise: float) -> float:
    """Seconds of a range as given in an address; what cannot be read is refused."""
    if not text:
        return otherwise
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise Invalid(str(error), where="range", mend="choose one of the ranges, like 1h") from error
    if not 1 <= seconds <= 400 * 86400:
        raise Invalid(f"a range of {text} is out of bounds", where="range", mend="between 1s and 400d")
    return seconds


def parse_instant(text: str) -> int:
    """Nanoseconds of an instant in an address: digits (ns, ms or s since the epoch) or ISO 8601; 0 for none."""
    if not text:
        return 0
    if re.fullmatch(r"\d{1,19}", text):
        number = int(text)
        return number if number > 10**17 else number * 10**6 if number > 10**11 else number * 10**9
    try:
        return parse_iso(text)
    except ValueError as error:
        raise Invalid(
            f"{text!r} is not an instant", where="at", mend="write one like 2026-11-22T14:02"
        ) from error


def _lens(principal: Principal, asked: str, declared: Container[str] = ()) -> Lens:
    """Enforced here, for every page: a lens is given only to those who may see through it."""
    operator = principal.may_see(SITE_TENANT)
    own = [tenant for tenant in principal.tenants if tenant not in ("*", SITE_TENANT)]
    if not asked:
        if operator:
            return Lens()
        if not own:
            raise Denied(
                "This token sees no tenant.", mend="ask an administrator for one that names your tenant"
            )
        return Lens(own[0])
    if asked == "operator":
        if operator:
            return Lens()
        raise Denied("The operator's view is not yours.", mend="leave ?lens= away")
    if principal.may_see(asked) and (asked in declared or asked in own):
        return Lens(asked)
    raise Denied("That tenant is not yours.", mend="leave ?lens= away")


def _page_route(desk: Desk) -> type[APIRoute]:
    class PageRoute(APIRoute):
        """Turns our errors into pages that say what to do."""

        def get_route_handler(self) -> Callable[[Request], Any]:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    response = await inner(request)
                except Unauthenticated:
                    response = RedirectResponse(f"/login?{urlencode({'next': _local(request)})}", 303)
                except WeatherglassError as error:
                    response = refuse(desk, request, error)
                return response

            return handle

    return PageRoute


def _local(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def refuse(desk: Desk, request: Request, error: WeatherglassError) -> Response:
    """An error as a page: in the shell when someone is signed in, bare otherwise."""
    status = STATUS.get(error.code, 500)
    principal = getattr(request.state, "principal", None)
    if principal is not None:
        try:
            lens = _lens(principal, "")
        except Denied:
            principal = None
        else:
            visit = Visit(desk, request, principal, lens)
            return visit.render("error.html", status=status, error=error, code=status)
    text = desk.templates.get_template("error_bare.html").render(error=error, code=status)
    return HTMLResponse(text, status)


@dataclass(frozen=True)
class _Shell:
    """What frames every page."""

    pages: tuple[Page, ...]
    site: str
    generation: int
    costs: Mapping[str, float]
    alerts: int
    operator: bool
    tenants: tuple[str, ...]
    lens_name: str


def _shell(visit: Visit) -> _Shell:
    principal, site = visit.principal, visit.rooms.site()
    operator = principal.may_see(SITE_TENANT)
    tenants = tuple(site.tenants) if operator and site is not None else principal.tenants
    return _Shell(
        pages=tuple(p for p in visit.desk.pages if p.icon and (visit.lens.operator or not p.operator_only)),
        site=site.name if site is not None else "no site yet",
        generation=latest_generation(visit.rooms),
        costs=visit.rooms.costs() if visit.lens.operator else {},
        alerts=len(visit.open_incidents),
        operator=operator,
        tenants=tuple(t for t in tenants if t not in ("*", SITE_TENANT) and principal.may_see(t)),
        lens_name=visit.lens.tenant or "operator",
    )


def latest_generation(rooms: Rooms) -> int:
    """The number of the newest generation; 0 before the first."""
    return max((int(g.number) for g in rooms.deploy.generations()), default=0)


_assets: dict[str, str] = {}


def _asset(path: str) -> str:
    """The address of a static file, with its content's hash so that it may be cached for ever."""
    if path not in _assets:
        digest = hashlib.sha256((HERE / "static" / path).read_bytes()).hexdigest()[:10]
        _assets[path] = f"/static/{path}?v={digest}"
    return _assets[path]


__all__ = ["Desk", "Lens", "NotFound", "Page", "Visit", "parse_instant", "parse_span"]
