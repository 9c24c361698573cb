"""Results in Prometheus' JSON: values as strings, times in seconds, no cell that is absent.

Written by hand rather than through `json` where it is long: a range over 2,000 series holds millions of cells.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import cramjam
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid

if TYPE_CHECKING:
    from weatherglass.metrics.histogram import Histogram
    from weatherglass.metrics.types import QueryResult

_WORTH_PACKING = 1400  # bytes: one packet's


def fields(body: bytes) -> list[tuple[str, str]]:
    """The fields of a posted form. Raises Invalid."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000)
    except ValueError as error:
        raise Invalid(f"the form cannot be read: {error}", where="body") from None


def success(data: Any) -> bytes:
    return json.dumps({"status": "success", "data": data}, ensure_ascii=False).encode("utf-8", "replace")


def number(value: float) -> str:
    """A sample's value as Go's `FormatFloat(v, 'f', -1, 64)` has it: no exponent, shortest that reads back."""
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    if "e" in text:
        return np.format_float_positional(value, trim="-")
    if math.isfinite(value):
        return text
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def seconds(ms: int) -> str:
    """`1435781451.781`; whole seconds without a fraction."""
    whole, rest = divmod(abs(ms), 1000)
    sign = "-" if ms < 0 else ""
    return f"{sign}{whole}.{rest:03d}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


TRUNCATED = "results truncated due to limit"


def response(request: Request, body: bytes, kind: str = "application/json") -> Response:
    """The answer, packed where that is asked for and worth it."""
    headers = {}
    if len(body) > _WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        body = bytes(cramjam.gzip.compress(body, level=1))
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(body, media_type=kind, headers=headers)


def listed(found: list[Any], limit: int) -> bytes:
    """A list as data; told where it was cut."""
    if 0 < limit < len(found):
        return _whole(json.dumps(found[:limit], ensure_ascii=False), {"warnings": [TRUNCATED]})
    return success(found)


def stats(samples: int, seconds: float, found: QueryResult) -> dict[str, Any]:
    """`stats`, in the form that Prometheus gives."""
    timings = (
        "evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime",
    )  # fmt: skip
    took = dict.fromkeys(timings, 0.0) | {"evalTotalTime": seconds, "execTotalTime": seconds}
    held = int(np.count_nonzero(found.present))
    return {"timings": took, "samples": {"totalQueryableSamples": samples, "peakSamples": max(samples, held)}}


def result(
    found: QueryResult,
    *,
    limit: int = 0,
    stats: dict[str, Any] | None = None,
    plan: dict[str, Any] | None = None,
) -> bytes:
    """A query's whole answer."""
    cut = 0 < limit < len(found.series) and found.type in ("vector", "matrix")
    body = f'{{"resultType":"{found.type}","result":{"".join(_result(found, limit if cut else None))}'
    body += f',"stats":{json.dumps(stats)}}}' if stats else "}"
    warnings = [*found.warnings, *([TRUNCATED] if cut else [])]
    more: dict[str, Any] = {
        name: said for name, said in (("warnings", warnings), ("infos", found.infos)) if said
    }
    return _whole(body, more | ({"explain": plan} if plan else {}))


def _whole(data: str, more: dict[str, Any]) -> bytes:
    rest = "".join(f",{json.dumps(name)}:{json.dumps(said)}" for name, said in more.items())
    return f'{{"status":"success","data":{data}{rest}}}'.encode("utf-8", "replace")


def _result(found: QueryResult, most: int | None) -> Iterator[str]:
    times = [seconds(ms) for ms in found.times_ms.tolist()]
    if found.type == "string":
        yield f"[{times[0]},{json.dumps(found.text)}]"
    elif found.type == "scalar":
        yield f'[{times[0]},"{number(found.values.item(0))}"]'
    else:
        rows = _vector(found, times) if found.type == "vector" else _matrix(found, times)
        yield "["
        for at, row in enumerate(islice(rows, most)):
            yield f",{row}" if at else row
        yield "]"


def _vector(found: QueryResult, times: list[str]) -> Iterator[str]:
    values, present, cells = found.values[:, :1], found.present[:, :1], found.histograms
    for at, (labels, value, there) in enumerate(
        zip(found.series, values.ravel().tolist(), present.ravel().tolist(), strict=True)
    ):
        if not there:
            continue
        if cells is not None and cells[at, 0] is not None:
            yield f'{{"metric":{_metric(labels)},"histogram":[{times[0]},{histogram(cells[at, 0])}]}}'
        else:
            yield f'{{"metric":{_metric(labels)},"value":[{times[0]},"{number(value)}"]}}'


def _matrix(found: QueryResult, times: list[str]) -> Iterator[str]:
    from weatherglass.kernels.render import cells as rendered  # compiled: only who asks waits for it

    heads = [f'[{at},"'.encode() for at in times]
    ends, head = np.cumsum([len(one) for one in heads], dtype=np.int64), b"".join(heads)
    for at, labels in enumerate(found.series):
        there, native = found.present[at], []
        if found.histograms is not None:
            held = np.array([one is not None for one in found.histograms[at]], np.bool_) & there
            native = [
                f"[{times[k]},{histogram(found.histograms[at, k])}]" for k in np.flatnonzero(held).tolist()
            ]
            there = there & ~held
        values = np.ascontiguousarray(found.values[at])
        cells = rendered(head, ends, values, np.ascontiguousarray(there).view(np.uint8), number).decode()
        kinds = [("values", cells), ("histograms", ",".join(native))]
        parts = "".join(f',"{name}":[{some}]' for name, some in kinds if some)
        if parts:
            yield f'{{"metric":{_metric(labels)}{parts}}}'


def histogram(h: Histogram) -> str:
    """`{"count", "sum", "buckets"}`; buckets that count nothing are left out (web/api/v1/json_codec.go)."""
    buckets = []
    for b in h.buckets():
        if b.count == 0:
            continue
        # 0: open left, 1: open right, 2: open both, 3: closed both
        edges = (3 if b.upper_inclusive else 1) if b.lower_inclusive else (0 if b.upper_inclusive else 2)
        buckets.append(f'[{edges},"{number(b.lower)}","{number(b.upper)}","{number(b.count)}"]')
    tail = f',"buckets":[{",".join(buckets)}]' if buckets else ""
    return f'{{"count":"{number(h.count)}","sum":"{number(h.sum)}"{tail}}}'


def _metric(labels: Any) -> str:
    return json.dumps(dict(labels), ensure_ascii=False)


def metadata(about: Any) -> list[dict[str, str]]:
    """What is known of one metric: `[{type, help, unit}]`, from a mapping or a list of them."""
    entries = [about] if isinstance(about, Mapping) else list(about)
    return [{key: str(entry.get(key, "")) for key in ("type", "help", "unit")} for entry in entries]
