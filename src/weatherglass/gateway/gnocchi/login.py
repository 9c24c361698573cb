"""How Gnocchi's clients log in: with the house's tokens, or as Gnocchi itself has it (basic, Keystone, remote user).

`basic` believes whatever name it is told, as Gnocchi's does: it is for loopback and for tests.
"""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.datastructures import Headers

from weatherglass.base.errors import Invalid, Unauthenticated, Unavailable
from weatherglass.base.ids import SITE_TENANT
from weatherglass.engine.protocols import Principal, Role
from weatherglass.gateway.rooms import IdentityRoom
from weatherglass.metrics.gnocchi import Caller, Gnocchi, Settings

PREFIX = "/gnocchi"
OPEN = frozenset({f"{PREFIX}/", PREFIX, f"{PREFIX}/healthcheck"})
REMOTE_USER = "x-remote-user"
_KEPT_S = 60.0
_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody as Gnocchi's rules see them."""

    creator: str
    roles: frozenset[str]
    user_id: str | None = None
    project_id: str | None = None
    scoped: bool = False


Way = Callable[[Headers], tuple[Principal, Who] | None]


def _named(user: str) -> tuple[Principal, Who]:
    """A bare user name: `admin` is the administrator."""
    admin = user == "admin"
    principal = Principal(f"gnocchi/{user}", Role.ADMIN if admin else Role.MEMBER, (SITE_TENANT,))
    return principal, Who(user, frozenset({"admin"} if admin else ()))


def _basic(headers: Headers) -> tuple[Principal, Who]:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise Unauthenticated("this needs a user's name", mend="HTTP Basic")
    try:
        user = base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated("the Basic credentials cannot be read") from error
    if not user:
        raise Unauthenticated("the Basic credentials name nobody")
    return _named(user)


def _remote(headers: Headers) -> tuple[Principal, Who]:
    user = headers.get(REMOTE_USER, "")
    if not user:
        raise Unauthenticated(f"the proxy says no {REMOTE_USER}")
    return _named(user)


class _Keystone:
    """Tokens that Keystone vouches for, remembered for a minute. A token may always ask about itself."""

    def __init__(self, address: str) -> None:
        if not address:
            raise Invalid("Gnocchi's log-in by Keystone needs Keystone's address")
        self._address = address.rstrip("/").removesuffix("/v3")
        self._known: dict[str, tuple[float, tuple[Principal, Who]]] = {}
        self._lock = threading.Lock()

    def __call__(self, headers: Headers) -> tuple[Principal, Who]:
        token = headers.get("x-auth-token", "")
        if not token:
            raise Unauthenticated("this needs a token of Keystone", mend="X-Auth-Token")
        with self._lock:
            known = self._known.get(token)
        if known and time.monotonic() - known[0] < _KEPT_S:
            return known[1]
        found = self._asked(token)
        with self._lock:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[token] = (time.monotonic(), found)
        return found

    def _asked(self, token: str) -> tuple[Principal, Who]:
        try:
            answer = httpx.get(
                f"{self._address}/v3/auth/tokens",
                headers={"X-Auth-Token": token, "X-Subject-Token": token},
                params={"nocatalog": "1"},
                timeout=10,
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"Keystone does not answer: {error}") from error
        if answer.status_code != 200:
            raise Unauthenticated("Keystone does not know this token")
        return of_token(answer.json()["token"])


def of_token(body: dict[str, Any]) -> tuple[Principal, Who]:
    """Who a validated token of Keystone's speaks for. Services and administrators write for the site."""
    roles = frozenset(str(role["name"]).lower() for role in body.get("roles", ()))
    user, project = body["user"]["id"], body.get("project", {}).get("id")
    wide = bool(roles & {"admin", "service"})
    tenants = ("*",) if wide else ((project,) if project else ())
    role = Role.ADMIN if "admin" in roles else Role.MEMBER
    principal = Principal(f"keystone/{body['user'].get('name', user)}", role, tenants)
    return principal, Who(f"{user}:{project or ''}", roles, user, project, scoped=True)


def ways(settings: Settings, identity: IdentityRoom) -> dict[str, Way]:
    """How each `auth` finds who asks."""

    def token(headers: Headers) -> tuple[Principal, Who] | None:
        given = headers.get("x-auth-token")
        if given is None:
            return None
        principal = identity.resolve(given)
        return principal, of_principal(principal)

    found: dict[str, Way] = {"token": token, "basic": _basic, "remoteuser": _remote}
    if settings.auth == "keystone":
        found["keystone"] = _Keystone(settings.keystone)
    return found


def of_principal(principal: Principal) -> Who:
    """Somebody with a token of the house: their tenant is their project."""
    admin = principal.role in (Role.ADMIN, Role.OPERATOR)
    roles = {"admin"} if admin else {"service"} if principal.role is Role.AGENT else set()
    project = SITE_TENANT if principal.may_see(SITE_TENANT) else next(iter(principal.tenants), "")
    return Who(f"{principal.name}:{project}", frozenset(roles), principal.name, project, scoped=True)


def caller(gnocchi: Gnocchi, principal: Principal, who: Who | None, chosen: str | None) -> Caller:
    """Who asks, with the partition that their measures go to. Raises Unauthenticated where they have none."""
    who = who or of_principal(principal)
    tenant = chosen if chosen is not None and principal.may_see(chosen) else None
    if tenant is None:
        tenant = SITE_TENANT if principal.may_see(SITE_TENANT) else next(iter(principal.tenants), None)
    if tenant is None:
        raise Unauthenticated(f"{principal.name} is of no project", mend="ask for a token of a project")
    return gnocchi.caller(
        creator=who.creator, roles=who.roles, tenant=tenant, user_id=who.user_id,
        project_id=who.project_id, scoped=who.scoped,
    )  # fmt: skip
