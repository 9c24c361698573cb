"""`/prometheus/api/v1/{series,labels,label,metadata}` and `/prometheus/federate`: what series there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from weatherglass.base.errors import Invalid
from weatherglass.base.time import MS_NS
from weatherglass.gateway import prometheus_asked as ask
from weatherglass.gateway import prometheus_json as form
from weatherglass.gateway.auth import allowed
from weatherglass.gateway.context import Context

LOOKBACK_MS = 300_000
_ESCAPED = re.compile(r"__|_([0-9a-fA-F]{1,6})_")
_PLAIN = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def routes(context: Context, prefix: str) -> Iterable[BaseRoute]:
    rooms, pool = context.rooms, context.pool

    async def series(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await ask.asked_of(request)
        selectors = ask.selectors(asked)
        if not selectors:
            raise Invalid("no match[] parameter provided", where="match[]", mend='match[]=up{job="x"}')
        start, end = ask.bounds(asked)
        found = await pool.run(rooms.metrics.series, tenant, selectors, start, end)
        return form.response(request, form.listed([dict(one) for one in found], ask.limit(asked)))

    async def labels(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await ask.asked_of(request)
        start, end = ask.bounds(asked)
        most, selectors = ask.limit(asked), ask.selectors(asked)
        found = await pool.run(rooms.metrics.label_names, tenant, selectors, start, end)
        return form.response(request, form.listed(list(found), most))

    async def values(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked, name = await ask.asked_of(request), unescaped(request.path_params["name"])
        start, end = ask.bounds(asked)
        most, selectors = ask.limit(asked), ask.selectors(asked)
        found = await pool.run(rooms.metrics.label_values, tenant, name, selectors, start, end)
        return form.response(request, form.listed(list(found), most))

    async def metadata(request: Request) -> Response:
        _, tenant = allowed(request, "metrics.read")
        asked = await ask.asked_of(request)
        found = await pool.run(rooms.metrics.metadata, tenant)
        metric, most = asked.get("metric", ""), ask.limit(asked)
        kept = [(name, about) for name, about in found.items() if not metric or name == metric]
        kept = kept[:most] if most else kept
        return form.response(request, form.success({name: form.metadata(about) for name, about in kept}))

    async def federate(request: Request) -> Response:
        """The last sample of every series that is matched, as text; what scrapes it asks again in time."""
        _, tenant = allowed(request, "metrics.read")
        asked = await ask.asked_of(request)
        selectors = ask.selectors(asked)
        now_ms = rooms.clock.now_ns() // MS_NS

        def text() -> bytes:
            lines: dict[str, list[str]] = {}
            seen: set[Any] = set()
            for matchers in selectors:
                _exposed(
                    rooms.metrics.select(tenant, matchers, now_ms - LOOKBACK_MS + 1, now_ms), seen, lines
                )
            return exposition(lines, rooms.metrics.metadata(tenant))

        body = await pool.run(text)
        return form.response(request, body, "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8")

    return [
        Route(f"{prefix}/series", series, methods=["GET", "POST"]),
        Route(f"{prefix}/labels", labels, methods=["GET", "POST"]),
        Route(f"{prefix}/label/{{name}}/values", values, methods=["GET"]),
        Route(f"{prefix}/metadata", metadata, methods=["GET"]),
        Route("/prometheus/federate", federate, methods=["GET"]),
    ]


def unescaped(name: str) -> str:
    """A label's name as its path has it: `U__my_2e_label` stands for `my.label`. Raises Invalid."""
    if name.startswith("U__"):

        def back(found: re.Match[str]) -> str:
            code = int(found[1], 16) if found[1] else ord("_")
            return chr(code) if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "�"

        name = _ESCAPED.sub(back, name[3:])
    if not name or "�" in name:
        raise Invalid(f"invalid label name: {name[:80]!r}", where="label")
    return name


def _exposed(found: Any, seen: set[Any], lines: dict[str, list[str]]) -> None:
    """The last of every series' samples as lines by metric's name; a series that ended is left out."""
    from weatherglass.metrics.promql.windows import is_stale  # brings numpy: only who asks waits for it

    for labels, times, values in zip(found.labels, found.times, found.values, strict=True):
        if labels in seen or not len(times) or is_stale(values[-1:])[0]:
            continue
        seen.add(labels)
        name = dict(labels)["__name__"]
        lines.setdefault(name, []).append(
            f"{_named(labels)} {form.number(float(values[-1]))} {int(times[-1])}\n"
        )


def _named(labels: Any) -> str:
    """`name{label="value"}`; a name that is not plain stands quoted inside the braces."""
    name = dict(labels)["__name__"]
    inside = [] if _PLAIN.fullmatch(name) else [_quoted(name)]
    for key, value in labels:
        if key != "__name__":
            plain = _PLAIN.fullmatch(key) and ":" not in key
            inside.append(f"{key if plain else _quoted(key)}={_quoted(value)}")
    braces = f"{{{','.join(inside)}}}" if inside else ""
    return braces if inside and inside[0] == _quoted(name) else name + braces


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'


def exposition(lines: Mapping[str, list[str]], known: Mapping[str, Any]) -> bytes:
    """Lines by metric's name in the order of names, each under its type."""
    out = []
    for name in sorted(lines):
        kind = str(known.get(name, {}).get("type", "")) or "untyped"
        kind = kind if kind in ("counter", "gauge") else "untyped"
        out.append(f"# TYPE {name if _PLAIN.fullmatch(name) else _quoted(name)} {kind}\n")
        out += sorted(lines[name])
    return "".join(out).encode()
