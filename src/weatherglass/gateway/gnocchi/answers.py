"""Answers as Gnocchi gives them: JSON, errors in webob's three forms, ETags, links to the next page, CORS."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from starlette.datastructures import Headers
from starlette.responses import Response

from weatherglass.base.errors import WeatherglassError
from weatherglass.gateway.errors import WrongMethod, WrongType, status_of
from weatherglass.metrics.gnocchi import Refused, Resource, Stale, Undone

TEXTS = {
    400: ("Bad Request", "The server could not comply with the request since it is either malformed or otherwise incorrect."),
    401: ("Unauthorized", "This server could not verify that you are authorized to access the document you requested."),
    403: ("Forbidden", "Access was denied to this resource."),
    404: ("Not Found", "The resource could not be found."),
    405: ("Method Not Allowed", "The method is not allowed for this resource."),
    406: ("Not Acceptable", "The resource could not be generated that was acceptable to your browser."),
    409: ("Conflict", "There was a conflict when trying to complete your request."),
    412: ("Precondition Failed", "Request precondition failed."),
    413: ("Request Entity Too Large", "The body of your request was too large for this server."),
    415: ("Unsupported Media Type", "The request media type is not supported by this server."),
    429: ("Too Many Requests", "The client has sent too many requests in a given amount of time."),
    500: ("Internal Server Error", "The server has either erred or is incapable of performing the requested operation."),
    501: ("Not Implemented", "The server has not implemented the requested method."),
    503: ("Service Unavailable", "The server is currently unavailable. Please try again at a later time."),
}  # fmt: skip
"""Status → title and explanation, webob's own words."""


class Unacceptable(Refused):
    """406: JSON is what there is, and it was not asked for."""


@dataclass(slots=True)
class Answer:
    """What a handler gives back: a value for JSON (None: no body), a status, headers."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


_STATUS: list[tuple[type[WeatherglassError], int]] = [
    (Stale, 412), (Undone, 501), (Unacceptable, 406), (WrongMethod, 405), (WrongType, 415),
]  # fmt: skip


def status_for(error: WeatherglassError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 0) or status_of(error)


def described(error: WeatherglassError, status: int) -> Any:
    """The `description` of an error: Gnocchi's own text or mapping, or what our error says."""
    if isinstance(error, Refused):
        return error.said or TEXTS[status][1]
    if isinstance(error, (WrongMethod, WrongType)):
        return TEXTS[status][1]
    return "; ".join(f"{one.message} ({one.mend})" if one.mend else one.message for one in error.problems)


def wants_json(accept: str) -> bool:
    return any(q > 0 and kind == "application/json" for kind, q in accepted(accept))


def accepted(header: str) -> Iterable[tuple[str, float]]:
    """(media type, q) of an Accept header."""
    for part in header.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        q = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            yield kind, float(q)
        except ValueError:
            yield kind, 0.0


def takes_json(accept: str | None) -> bool:
    """Whether JSON may be answered."""
    if not accept:
        return True
    return any(q > 0 and kind in ("application/json", "application/*", "*/*") for kind, q in accepted(accept))


def failed(error: WeatherglassError, headers: Headers) -> Response:
    """An error as webob tells it: JSON where it is asked for, else text."""
    status = status_for(error)
    title, explanation = TEXTS.get(status, TEXTS[500])
    description = described(error, status)
    more = {"Retry-After": "5"} if status in (429, 503) else {}
    if wants_json(headers.get("accept", "")):
        body = json.dumps({"code": status, "title": title, "description": description})
        return Response(body.encode("utf-8", "replace"), status, more, media_type="application/json")
    parts = [f"{status} {title}", explanation]
    if description != explanation:
        parts.append(description if isinstance(description, str) else str(description))
    return Response("\n\n".join(parts).encode("utf-8", "replace"), status, more, media_type="text/plain")


def answered(answer: Answer) -> Response:
    """The response of an answer: 204 where there is nothing to say."""
    if answer.body is None:
        status = 204 if answer.status == 200 else answer.status
        return Response(b"", status, answer.headers)
    body = json.dumps(answer.body)
    return Response(body.encode(), answer.status, answer.headers, media_type="application/json")


def next_page(address: str, asked: Mapping[str, Any], marker: str) -> dict[str, str]:
    """RFC 5988 link to the page after this one, its parameters in order."""
    options = sorted({**asked, "marker": marker}.items())
    return {"Link": f'<{address}?{urlencode(options, doseq=True)}>; rel="next"'}


def location(base: str, *parts: str) -> dict[str, str]:
    return {"Location": base + "".join("/" + quote(part, safe="") for part in parts)}


# --- conditions (RFC 7232) -------------------------------------------------------------------------------


class Unchanged(Exception):
    """304."""


def tags(resource: Resource) -> dict[str, str]:
    return {"ETag": f'"{resource.etag}"', "Last-Modified": formatdate(resource.modified_s, usegmt=True)}


def _among(header: str, etag: str) -> bool:
    listed = [one.strip().removeprefix("W/").strip('"') for one in header.split(",")]
    return "*" in listed or etag in listed


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def check(resource: Resource, headers: Headers, method: str) -> None:
    """Raises Stale (412) or Unchanged (304) where a precondition does not hold."""
    reads = method in ("GET", "HEAD")
    if match := headers.get("if-match"):
        if not _among(match, resource.etag):
            raise Stale()
    else:
        since = _seconds(headers.get("if-unmodified-since"))
        if since is not None and since < resource.modified_s:
            raise Stale()
    if none := headers.get("if-none-match"):
        if _among(none, resource.etag):
            raise Unchanged() if reads else Stale()
    elif reads:
        since = _seconds(headers.get("if-modified-since"))
        if since is not None and since >= resource.modified_s:
            raise Unchanged()


# --- other origins ---------------------------------------------------------------------------------------

EXPOSED = "Link, Location, ETag, Last-Modified"
_ASKED = "Content-Type, Authorization, X-Auth-Token, X-User-Id, X-Project-Id, If-Match, If-None-Match"
METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS, HEAD"


def cors(headers: Headers, origins: frozenset[str]) -> dict[str, str]:
    """What a page of another origin is told; nothing where it may not ask."""
    origin = headers.get("origin", "")
    if origin not in origins:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED,
        "Vary": "Origin",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


def preflight(headers: Headers, origins: frozenset[str]) -> Response:
    """The answer to OPTIONS: 200 always, with permission for whom there is one."""
    told = cors(headers, origins)
    wanted = headers.get("access-control-request-method", "")
    if told and wanted in METHODS.split(", "):
        told |= {
            "Access-Control-Allow-Methods": wanted,
            "Access-Control-Allow-Headers": _ASKED,
            "Access-Control-Max-Age": "3600",
        }
    return Response(b"", 200, told)
