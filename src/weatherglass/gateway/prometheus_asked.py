"""What a request to Prometheus' API asks for: parameters of the address or of a posted form, read strictly.

Refusals are worded as Prometheus words them (web/api/v1/api.go).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MultiDict
from starlette.requests import Request

from weatherglass.base.errors import Invalid
from weatherglass.base.time import MS_NS, parse_iso
from weatherglass.base.units import parse_duration
from weatherglass.gateway import prometheus_json as form
from weatherglass.gateway.errors import WrongType
from weatherglass.gateway.limits import body_of

if TYPE_CHECKING:
    from weatherglass.metrics.promql import Options

MAX_POINTS = 11_000  # a series' points in one answer, as Prometheus bounds them
QUERY_S = 110.0  # a query's own time: below the bound of a request, so that it ends by itself
_INT64_S = 9.2e15
_FAR_MS = 1 << 53


async def asked_of(request: Request) -> MultiDict:
    """Parameters of the address and of a posted form together."""
    asked = MultiDict(request.query_params.multi_items())
    body = await body_of(request) if request.method in ("POST", "PUT") else b""
    if body:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise WrongType(
                f"{kind or 'no type'} is not spoken here",
                where="Content-Type",
                mend="application/x-www-form-urlencoded",
            )
        for name, value in form.fields(body):
            asked.append(name, value)
    return asked


def needed(asked: MultiDict, name: str) -> str:
    value = asked.get(name, "")
    if not value.strip():
        raise Invalid(f"the parameter {name} is missing", where=name)
    return str(value)


def instant(asked: MultiDict, name: str, otherwise: int) -> int:
    """Milliseconds of Unix seconds (with a fraction) or RFC 3339. Raises Invalid."""
    text = asked.get(name, "")
    if not text:
        return otherwise
    try:
        seconds = float(text)
    except ValueError:
        try:
            return parse_iso(text) // MS_NS
        except (ValueError, OverflowError):
            raise Invalid(
                f"cannot parse {text[:80]!r} to a valid timestamp",
                where=name,
                mend="Unix seconds or RFC 3339",
            ) from None
    if not math.isfinite(seconds) or abs(seconds) > _INT64_S / 1000:
        raise Invalid(f"{text[:80]!r} is out of range", where=name)
    return round(seconds * 1000)


def span(asked: MultiDict) -> tuple[int, int, int]:
    """(start, end, step) in ms of a range query. Raises Invalid."""
    for name in ("start", "end", "step"):
        needed(asked, name)
    start, end = instant(asked, "start", 0), instant(asked, "end", 0)
    if end < start:
        raise Invalid("end timestamp must not be before start time", where="end")
    step = round(seconds(asked["step"], "step") * 1000)
    if step <= 0:
        raise Invalid(
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
            where="step",
        )
    if (end - start) // step >= MAX_POINTS:
        raise Invalid(
            "exceeded maximum resolution of 11,000 points per timeseries. "
            "Try decreasing the query resolution (?step=XX)",
            where="step",
        )
    return start, end, step


def bounds(asked: MultiDict) -> tuple[int, int]:
    """(start, end) in ms of a question about series; all of time where not said. Raises Invalid."""
    start, end = instant(asked, "start", -_FAR_MS), instant(asked, "end", _FAR_MS)
    if end < start:
        raise Invalid("end timestamp must not be before start time", where="end")
    return start, end


def seconds(text: str, where: str) -> float:
    """Seconds of a number or of `1h30m`. Raises Invalid."""
    try:
        found = float(text)
    except ValueError:
        try:
            found = parse_duration(text)
        except ValueError:
            raise Invalid(f"cannot parse {text[:80]!r} to a valid duration", where=where) from None
    if not math.isfinite(found) or abs(found) > _INT64_S / 1000:
        raise Invalid(f"cannot parse {text[:80]!r} to a valid duration. It overflows int64", where=where)
    return found


def limit(asked: MultiDict) -> int:
    """How many at most; 0 for all. Raises Invalid."""
    text = asked.get("limit", "0") or "0"
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Invalid(f"{text[:40]!r} is not a limit", where="limit", mend="a whole number; 0 for all")
    return int(text)


def options(asked: MultiDict, *, experimental: bool) -> Options:
    """How a query is to be read and answered. Raises Invalid."""
    from weatherglass.metrics.promql import Options  # brings the evaluator: only who asks waits for it

    timeout, lookback = QUERY_S, 300_000
    if asked.get("timeout"):
        timeout = min(seconds(asked["timeout"], "timeout"), QUERY_S)
        if timeout <= 0:
            timeout = 1e-9
    if asked.get("lookback_delta"):
        lookback = round(seconds(asked["lookback_delta"], "lookback_delta") * 1000)
        if lookback <= 0:
            raise Invalid("lookback_delta must be positive", where="lookback_delta")
    return Options(
        experimental=experimental,
        delayed_names=asked.get("delayed_name_removal", "1" if experimental else "0") == "1",
        lookback_ms=lookback,
        timeout_s=timeout,
        trace=bool(asked.get("explain")),
    )


def parsed(expr: str, options: Options, name: str = "query") -> Any:
    """The tree of a query. Raises Invalid, worded as Prometheus words it."""
    from weatherglass.metrics.promql import parse

    try:
        return parse(expr, options)
    except Invalid as why:
        message = why.message if why.message.startswith("parse error") else f"parse error: {why.message}"
        raise Invalid(f'invalid parameter "{name}": {why.where}: {message}', mend=why.mend) from None


def selectors(asked: MultiDict) -> list[Any]:
    """The matchers of every `match[]`, each a series selector. Raises Invalid."""
    from weatherglass.metrics.promql import STABLE
    from weatherglass.metrics.promql.ast import Selector

    found: list[Any] = []
    for text in asked.getlist("match[]"):
        tree = parsed(text, STABLE, "match[]")
        if not isinstance(tree, Selector) or tree.range_s:
            raise Invalid(f"{text[:80]!r} is not a series selector", where="match[]", mend='up{job="x"}')
        found.append(tree.matchers)
    return found
