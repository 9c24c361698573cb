"""`/aetos/…`: PromQL for OpenStack's own users, as OpenStack's Aetos gives it: a token of Keystone's, one's own project.

Who is admin or service sees all of the tenant `site`; a member or reader of a project the series whose label `project`
is its id, whatever is asked. Routes and forms are Prometheus' own; only who asks, and what is there, is another.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import Denied, Unauthenticated, Unavailable
from weatherglass.base.ids import SITE_TENANT
from weatherglass.engine.protocols import Principal, Role
from weatherglass.gateway import prometheus_query, prometheus_series, prometheus_status
from weatherglass.gateway.context import Context
from weatherglass.gateway.logins import Found, Login
from weatherglass.gateway.rooms import Rooms

PREFIX = "/aetos"
LABEL = "project"
_OF_PROJECT = f"{SITE_TENANT}?{LABEL}="  # no tenant can be called so: without `narrow` nothing is there
_KEPT_S, _REFUSED_S, _KEPT = 60.0, 5.0, 4096


def narrow(tenant: str) -> tuple[str, Any] | None:
    """What the tenant of somebody's project is: the site's partition, and that project's series in it."""
    from weatherglass.metrics.types import Matcher

    if not tenant.startswith(_OF_PROJECT):
        return None
    return SITE_TENANT, (Matcher(LABEL, "=", tenant.removeprefix(_OF_PROJECT)),)


def routes(context: Context) -> Iterable[BaseRoute]:
    from weatherglass.metrics import narrowed

    rooms = context.rooms
    seen = replace(context, rooms=replace(rooms, metrics=narrowed.Rooms(rooms.metrics, narrow)))  # type: ignore[arg-type]
    prefix = f"{PREFIX}/api/v1"
    found: list[BaseRoute] = []
    for module in (prometheus_query, prometheus_series, prometheus_status):
        found += module.routes(seen, prefix)
    wanted = (f"{prefix}/query", f"{prefix}/series", f"{prefix}/label", f"{prefix}/metadata", f"{prefix}/targets",
              f"{prefix}/status/runtimeinfo", f"{prefix}/status/buildinfo", f"{prefix}/admin/")  # fmt: skip
    return [one for one in found if isinstance(one, Route) and one.path.startswith(wanted)]


# --- who asks --------------------------------------------------------------------------------------------


class Keystone:
    """Tokens that Keystone vouches for, remembered for a minute and never past their end."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._known: dict[
            bytes, tuple[float, Principal | None]
        ] = {}  # digest of a token → (until, who; None: nobody)
        self._lock = threading.Lock()
        self.asked = 0

    def __call__(self, headers: Headers) -> Found:
        token = headers.get("x-auth-token", "")
        if not token:
            return None
        address = self._address()
        key = hashlib.sha256(f"{address}\0{token}".encode()).digest()
        with self._lock:
            until, known = self._known.get(key, (0.0, None))
        if time.monotonic() >= until:
            known, lasts_s = self._ask(address, token)
            with self._lock:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[key] = (time.monotonic() + lasts_s, known)
        if known is None:
            raise Unauthenticated("Keystone does not know this token", where="X-Auth-Token")
        return known, None

    def _address(self) -> str:
        """Keystone's: of the environment (OS_AUTH_URL), or of the one cloud that is watched."""
        address = os.environ.get("OS_AUTH_URL", "")
        room = self._rooms.more.get("openstack")
        if not address and room is not None:
            watched = [one.cloud for one in room.clouds()]
            if len(watched) > 1:
                raise Unavailable("several clouds are watched", mend="say whose Keystone counts: OS_AUTH_URL")
            address = room.cloud(watched[0]).auth_url if watched else ""
        if not address:
            raise Unavailable("there is no Keystone to ask", mend="weatherglass adopt, or OS_AUTH_URL")
        return address.rstrip("/").removesuffix("/v3")

    def _ask(self, address: str, token: str) -> tuple[Principal | None, float]:
        self.asked += 1
        try:
            answer = httpx.get(
                f"{address}/v3/auth/tokens",
                headers={"X-Auth-Token": token, "X-Subject-Token": token},
                params={"nocatalog": "1"},
                timeout=10,
                trust_env=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            raise Unavailable(f"Keystone does not answer: {error}") from error
        if answer.status_code in (401, 404):
            return None, _REFUSED_S
        if answer.status_code != 200:
            raise Unavailable(f"Keystone answers {answer.status_code}")
        try:
            body = answer.json()["token"]
            return principal_of(body), min(_KEPT_S, lasts_s(body, self._rooms.clock.now_ns() / 1e9))
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable("Keystone's answer cannot be read") from error


def lasts_s(body: dict[str, Any], now_s: float) -> float:
    """Seconds to a token's end."""
    return float(datetime.fromisoformat(str(body["expires_at"])).timestamp()) - now_s


def principal_of(body: dict[str, Any]) -> Principal:
    """Who a validated token speaks for. Raises Denied where it gives no right to anything."""
    roles = {str(role["name"]).lower() for role in body.get("roles", ())}
    name = f"keystone/{body['user'].get('name') or body['user']['id']}"
    if "admin" in roles:
        return Principal(name, Role.ADMIN, ("*",))
    if "service" in roles:
        return Principal(name, Role.VIEWER, ("*",))
    project = str(body.get("project", {}).get("id", ""))
    if not project or not roles & {"reader", "member"}:
        raise Denied(
            f"{name} is no reader of a project", mend="a token of a project, with the role reader or member"
        )
    return Principal(name, Role.VIEWER, (f"{_OF_PROJECT}{project}",))


def login(rooms: Rooms) -> Login:
    return Login(PREFIX, Keystone(rooms))
