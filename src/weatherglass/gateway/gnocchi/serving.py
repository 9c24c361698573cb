"""The table of Gnocchi's paths and methods, and the endpoint that goes by it.

Its own and not Starlette's, because what Gnocchi says of a wrong path, method or type is part of its API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from weatherglass.base.errors import WeatherglassError
from weatherglass.gateway.context import Context
from weatherglass.gateway.errors import WrongMethod
from weatherglass.gateway.gnocchi import aggregates, metrics, others, policies, resources
from weatherglass.gateway.gnocchi.answers import (
    Answer,
    Unacceptable,
    Unchanged,
    answered,
    cors,
    failed,
    preflight,
    takes_json,
)
from weatherglass.gateway.gnocchi.asking import Ask
from weatherglass.gateway.gnocchi.login import PREFIX, caller
from weatherglass.gateway.limits import body_of
from weatherglass.metrics.gnocchi import Missing

Handler = Callable[[Ask], Answer]
_SEGMENT = re.compile(r"\{(\w+)\}")


class Path(NamedTuple):
    """One row: a pattern of segments, its methods, and what must hold before the method is looked at."""

    pattern: str
    methods: Mapping[str, Handler]
    before: Callable[[Ask], None] | None = None
    json: bool = True  # refuses who does not take JSON


_RESOURCE = "/v1/resource/{type}/{id}"
_MEASURES = {"GET": metrics.measures, "POST": metrics.post_measures}
_METRIC: dict[str, Handler] = {
    "GET": metrics.metric,
    "PATCH": metrics.move_metric,
    "DELETE": metrics.drop_metric,
}

PATHS: list[Path] = [
    Path("", {"GET": others.root}),
    Path("/healthcheck", {"GET": others.health}, json=False),
    Path("/v1", {"GET": others.v1}),
    Path("/v1/capabilities", {"GET": others.capabilities}),
    Path("/v1/status", {"GET": others.status}),
    Path("/v1/archive_policy", {"GET": policies.policies, "POST": policies.new_policy}),
    Path(
        "/v1/archive_policy/{name}",
        {"GET": policies.policy, "PATCH": policies.change_policy, "DELETE": policies.drop_policy},
    ),
    Path("/v1/archive_policy_rule", {"GET": policies.rules, "POST": policies.new_rule}),
    Path(
        "/v1/archive_policy_rule/{name}",
        {"GET": policies.rule, "PATCH": policies.rename_rule, "DELETE": policies.drop_rule},
    ),
    Path("/v1/metric", {"GET": metrics.metrics, "POST": metrics.new_metric}),
    Path("/v1/metric/{metric}", _METRIC),
    Path("/v1/metric/{metric}/measures", _MEASURES),
    Path("/v1/batch/metrics/measures", {"POST": metrics.batch}),
    Path("/v1/batch/resources/metrics/measures", {"POST": metrics.batch_named}),
    Path("/v1/resource_type", {"GET": resources.types, "POST": resources.new_type}),
    Path(
        "/v1/resource_type/{name}",
        {"GET": resources.resource_type, "PATCH": resources.change_type, "DELETE": resources.drop_type},
    ),
    Path("/v1/resource", {"GET": resources.by_type}),
    Path(
        "/v1/resource/{type}",
        {"GET": resources.resources, "POST": resources.new_resource, "DELETE": resources.drop_resources},
        resources.known_type,
    ),
    Path(
        _RESOURCE,
        {"GET": resources.resource, "PATCH": resources.change_resource, "DELETE": resources.drop_resource},
        resources.known_type,
    ),
    Path(_RESOURCE + "/history", {"GET": resources.history}, resources.known_type),
    Path(
        _RESOURCE + "/metric",
        {"GET": resources.metrics, "POST": resources.give_metrics},
        resources.known_type,
    ),
    Path(_RESOURCE + "/metric/{name}", _METRIC, resources.known_type),
    Path(_RESOURCE + "/metric/{name}/measures", _MEASURES, resources.known_type),
    Path("/v1/search/resource/{type}", {"POST": resources.search}, resources.known_type),
    Path("/v1/search/metric", {"POST": aggregates.search}),
    Path("/v1/aggregates", {"POST": aggregates.aggregates}),
    Path("/v1/aggregation/metric", {"GET": aggregates.across, "POST": aggregates.across_posted}),
    Path("/v1/aggregation/resource/{type}/metric", {}),
    Path(
        "/v1/aggregation/resource/{type}/metric/{name}",
        {"POST": aggregates.across_resources},
        resources.known_type,
    ),
    Path("/v1/influxdb/ping", {"GET": others.ping, "HEAD": others.ping}, json=False),
    Path("/v1/influxdb/query", {"POST": others.query}),
    Path("/v1/influxdb/write", {"POST": others.lines}),
    Path("/v1/prometheus/write", {"POST": others.remote}, json=False),
]
"""Everything that is spoken. PATCH of a metric is ours: Gnocchi cannot give one another policy."""

_WRITES = frozenset({metrics.batch, metrics.batch_named, metrics.post_measures, others.lines, others.remote})


def _compiled(path: Path) -> re.Pattern[str]:
    return re.compile(_SEGMENT.sub(r"(?P<\1>[^/]+)", path.pattern) + "/?")


_TABLE = [(_compiled(path), path) for path in PATHS]
_PLAIN = {path.pattern: path for path in PATHS if "{" not in path.pattern}


def found(path: str) -> tuple[Path, dict[str, str]]:
    """(row, what stands in its places) of a path below the prefix, as it was sent. Raises Missing."""
    bare = path.rstrip("/")
    if bare in _PLAIN:
        return _PLAIN[bare], {}
    for pattern, row in _TABLE:
        form = pattern.fullmatch(bare)
        if form is not None:
            return row, {name: unquote(text) for name, text in form.groupdict().items()}
    raise Missing()


class Endpoint:
    """Everything under the prefix: found in the table, asked in a pool, answered in Gnocchi's words."""

    def __init__(self, context: Context) -> None:
        self._gnocchi = context.rooms.more["gnocchi"]
        self._clock = context.rooms.clock
        self._pool, self._writes = context.pool, context.writes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        origins = self._gnocchi.settings.origins
        if scope["method"] == "OPTIONS":
            await preflight(request.headers, origins)(scope, receive, send)
            return
        try:
            response = await self._answer(request)
        except Unchanged:
            response = Response(b"", 304)
        except WeatherglassError as error:
            await body_of(request)  # what is left of it would be taken for the next request
            response = failed(error, request.headers)
        for name, value in cors(request.headers, origins).items():
            response.headers[name] = value
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raw_path = (request.scope.get("raw_path") or request.scope["path"].encode()).decode(
            "ascii", "replace"
        )
        path = raw_path.partition("?")[0][len(PREFIX) :]
        row, parts = found(path)
        principal = request.state.principal
        who = None
        if principal is not None:
            chosen = request.headers.get("x-weatherglass-tenant")
            who = caller(self._gnocchi, principal, getattr(request.state, "who", None), chosen)
        ask = Ask(
            self._gnocchi, who, request.method, self._base(request), path, parts,
            QueryParams(request.scope["query_string"]), request.headers, await body_of(request),
            self._clock.now_ns(),
        )  # fmt: skip
        method = "GET" if request.method == "HEAD" and "HEAD" not in row.methods else request.method
        handler = row.methods.get(method)
        pool = self._writes if handler in _WRITES else self._pool
        return await pool.run(_handled, row, handler, ask)

    def _base(self, request: Request) -> str:
        """The address of the prefix as the client sees it; proxies are believed where they are expected."""
        headers, scheme = request.headers, request.url.scheme
        host, prefix = headers.get("host", ""), ""
        if self._gnocchi.settings.proxied:
            said = _forwarded(headers)
            scheme, host = said.get("proto", scheme), said.get("host", host)
            prefix = headers.get("x-forwarded-prefix", "")
        return f"{scheme}://{host}{prefix}{PREFIX}"


def _forwarded(headers: Headers) -> dict[str, str]:
    """What the first proxy says (RFC 7239), or what proxies said before there was one."""
    if text := headers.get("forwarded"):
        pairs = (part.partition("=") for part in text.split(",")[0].split(";"))
        return {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
    named = {"proto": "x-forwarded-proto", "host": "x-forwarded-host"}
    return {key: headers[name] for key, name in named.items() if name in headers}


def _handled(row: Path, handler: Handler | None, ask: Ask) -> Response:
    if row.before is not None:
        row.before(ask)
    if handler is None:
        raise WrongMethod(f"{ask.method} is not spoken at {ask.path}")
    if row.json and not takes_json(ask.headers.get("accept")):
        raise Unacceptable()
    return answered(handler(ask))


def serving(context: Context) -> Iterable[BaseRoute]:
    endpoint: Any = Endpoint(context)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return [
        Route(PREFIX, endpoint, methods=methods),
        Route(PREFIX + "/{path:path}", endpoint, methods=methods),
    ]
