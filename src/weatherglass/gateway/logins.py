"""Protocols with a log-in of their own: prefix → how a principal is found from a request's headers.

A row says nothing of what somebody may do; it ends in a `Principal` like every other way in, and where it finds
none the request is refused. What has no row logs in as the house does (`auth`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.datastructures import Headers

from weatherglass.base.errors import Unauthenticated
from weatherglass.engine.protocols import Principal
from weatherglass.gateway.rooms import Rooms

Found = tuple[Principal, Any] | None
"""(who asks, what the protocol itself wants to know of them); None: they may log in as the house does."""


class Login(NamedTuple):
    """How those who come under `prefix` say who they are. `find` runs in a pool; it raises Unauthenticated."""

    prefix: str
    find: Callable[[Headers], Found]
    open: frozenset[str] = frozenset()  # paths that answer to anybody
    origins: frozenset[str] = frozenset()  # whose pages may ask from a browser (CORS)


def _gnocchi(rooms: Rooms) -> Login | None:
    room = rooms.more.get("gnocchi")
    if room is None:
        return None
    # brings the metrics room: only a house that has Gnocchi waits for it
    from weatherglass.gateway.gnocchi import login as gnocchi

    settings = room.settings
    return Login(
        gnocchi.PREFIX,
        gnocchi.ways(settings, rooms.identity)[settings.auth],
        gnocchi.OPEN,
        settings.origins,
    )


def basic(headers: Headers) -> tuple[str, str] | None:
    """(user, password) of HTTP Basic; None where nothing of the kind was sent. Raises Unauthenticated."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated("the Basic credentials cannot be read") from error
    user, _, password = text.partition(":")
    return user, password


def api_key(headers: Headers) -> tuple[str, str] | None:
    """(id, key) of Elasticsearch's ApiKey; the key alone where it is one of our tokens as it is. Raises Unauthenticated."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "apikey":
        return None
    rest = rest.strip()
    if rest.startswith("wg_"):
        return "", rest
    try:
        id, _, key = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthenticated("the ApiKey credentials cannot be read") from error
    return id, key or id


def influx_token(headers: Headers) -> tuple[str, str] | None:
    """InfluxDB 2's `Token …`; 1's clients may put `user:password` there."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "token":
        return None
    user, _, password = rest.strip().partition(":")
    return (user, password) if password else ("", user)


def token_as_password(prefix: str) -> Callable[[Rooms], Login]:
    """Basic or ApiKey with one of the house's tokens as the secret, for clients that know nothing else; any user."""

    def made(rooms: Rooms) -> Login:
        def find(headers: Headers) -> Found:
            if rooms.anyone is not None:
                return rooms.anyone, None
            pair = basic(headers) or api_key(headers) or influx_token(headers)
            return None if pair is None else (rooms.identity.resolve(pair[1]), None)

        return Login(prefix, find)

    return made


def _aetos(rooms: Rooms) -> Login:
    from weatherglass.gateway import aetos  # which stands on this module

    return aetos.login(rooms)


LOGINS: list[Callable[[Rooms], Login | None]] = [
    _gnocchi,
    _aetos,
    token_as_password("/prometheus"),
    token_as_password("/elastic"),
    token_as_password("/loki"),
    token_as_password("/otlp"),
    token_as_password("/influx"),
]
"""One row a protocol; a room that is not there has none."""


def logins_of(rooms: Rooms) -> list[Login]:
    return [login for make in LOGINS if (login := make(rooms)) is not None]
