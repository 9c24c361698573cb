"""Between the socket and the handlers: who asks, bodies unpacked, media types, the product's header.

Every answer says `X-Elastic-Product: Elasticsearch`: its own clients refuse one that does not.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid, TooLarge, WeatherglassError
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context
from weatherglass.gateway.elastic.asking import Ask, Handler, Reply, filtered, written
from weatherglass.gateway.elastic.faults import Fault, told
from weatherglass.gateway.errors import status_of
from weatherglass.gateway.limits import body_of

PREFIX = "/elastic"
MOST_BODY = 100 << 20
_VENDOR = "application/vnd.elasticsearch+"
_SPOKEN = frozenset(
    ("", "application/json", "application/x-ndjson", f"{_VENDOR}json", f"{_VENDOR}x-ndjson", "text/json")
)
_HEADERS = {"X-Elastic-Product": "Elasticsearch"}
_log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


def unpacked(body: bytes, encoding: str, most: int = MOST_BODY) -> bytes:
    """A body as it was before gzip or deflate. Raises Invalid, TooLarge."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate", "x-gzip"):
        raise Invalid(f"{encoding[:20]} is not spoken here", where="Content-Encoding", mend="gzip")
    found, at = b"", body
    try:
        while at:  # gzip members follow one another
            reader = zlib.decompressobj(zlib.MAX_WBITS | 32)
            found += reader.decompress(at, most + 1 - len(found))
            if len(found) > most:
                raise TooLarge(f"the body unpacks to over {most} bytes", where="body", mend="smaller parts")
            if not reader.eof:
                raise Invalid("the compressed body ends early", where="body")
            at = reader.unused_data
    except zlib.error as error:
        raise Invalid(f"the body is no {encoding}: {error}", where="body") from None
    return found


def media_type(accept: str, plain: bool) -> str:
    """The type to answer in: the vendor's where it is asked for, with the version it names."""
    if plain:
        return "text/plain; charset=UTF-8"
    for one in accept.lower().split(","):
        if one.strip().startswith(_VENDOR):
            version = one.partition("compatible-with=")[2].strip()[:2].strip(";")
            return f"{_VENDOR}json;compatible-with={version if version in ('7', '8', '9') else '9'}"
    return "application/json"


def endpoint(context: Context, handler: Handler, action: str) -> Endpoint:
    """A handler as Starlette calls it: allowed to who may do `action`."""
    pool = context.writes if action == "logs.write" else context.pool

    async def serve(request: Request) -> Response:
        try:
            _, tenant = allowed(request, action)
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            body = unpacked(await body_of(request), request.headers.get("content-encoding", ""))
            if body and kind not in _SPOKEN:
                raise Fault(
                    "media_type_header_exception",
                    f"Invalid media-type value on headers [Content-Type]: Content-Type header [{kind[:80]}] is not supported",
                    406,
                )
            ask = Ask(tenant, request.method, request.path_params, dict(request.query_params), body)
            reply = await pool.run(handler, ask)
            if "filter_path" in ask.params and isinstance(reply.body, (dict, list)):
                reply = Reply(filtered(reply.body, ask.params["filter_path"]), reply.status, reply.headers)
        except WeatherglassError as error:
            status = error.status if isinstance(error, Fault) else status_of(error)
            if status >= 500:
                _log.warning("%s %s: %s", request.method, request.url.path, error.message)
            reply = Reply(told(error, status), status)
        return response(request, reply)

    return serve


def response(request: Request, reply: Reply) -> Response:
    plain = isinstance(reply.body, str)
    headers: Mapping[str, str] = {**_HEADERS, **reply.headers}
    kind = media_type(request.headers.get("accept", ""), plain)
    if reply.body is None or request.method == "HEAD":
        return Response(b"", reply.status, dict(headers), media_type=kind)
    pretty = request.query_params.get("pretty", "false") in ("", "true")
    body = reply.body.encode() if plain else written(reply.body, pretty=pretty)
    return Response(body, reply.status, dict(headers), media_type=kind)
