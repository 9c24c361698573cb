"""Results in Prometheus' JSON: values as strings, times in seconds, no cell that is absent.

Written by hand rather than through `json` where it is long: a range over 2,000 series holds millions of cells.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import cramjam
import numpy as np
import orjson
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
        text = json.dumps(found[:limit], ensure_ascii=False).encode("utf-8", "replace")
        return _whole([text], {"warnings": [TRUNCATED]})
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
    body = [f'{{"resultType":"{found.type}","result":'.encode(), *_result(found, limit if cut else None)]
    body.append(f',"stats":{json.dumps(stats)}}}'.encode() if stats else b"}")
    warnings = [*found.warnings, *([TRUNCATED] if cut else [])]
    more: dict[str, Any] = {
        name: said for name, said in (("warnings", warnings), ("infos", found.infos)) if said
    }
    return _whole(body, more | ({"explain": plan} if plan else {}))


def _whole(data: Iterable[bytes], more: dict[str, Any]) -> bytes:
    rest = "".join(f",{json.dumps(name)}:{json.dumps(said)}" for name, said in more.items())
    return b"".join([b'{"status":"success","data":', *data, rest.encode("utf-8", "replace"), b"}"])


def _result(found: QueryResult, most: int | None) -> Iterator[bytes]:
    if found.type == "string":
        yield f"[{seconds(found.times_ms.item(0))},{json.dumps(found.text)}]".encode("utf-8", "replace")
    elif found.type == "scalar":
        yield f'[{seconds(found.times_ms.item(0))},"{number(found.values.item(0))}"]'.encode()
    else:
        rows = _vector(found) if found.type == "vector" else _matrix(found)
        yield b"["
        for at, row in enumerate(islice(rows, most)):
            yield b"," + row if at else row
        yield b"]"


def _vector(found: QueryResult) -> Iterator[bytes]:
    values, present, cells = found.values[:, :1], found.present[:, :1], found.histograms
    at_s = seconds(found.times_ms.item(0)) if len(found.times_ms) else ""
    for at, (labels, value, there) in enumerate(
        zip(found.series, values.ravel().tolist(), present.ravel().tolist(), strict=True)
    ):
        if not there:
            continue
        if cells is not None and cells[at, 0] is not None:
            yield b'{"metric":%b,"histogram":[%b,%b]}' % (
                _metric(labels),
                at_s.encode(),
                histogram(cells[at, 0]).encode(),
            )
        else:
            yield b'{"metric":%b,"value":[%b,"%b"]}' % (
                _metric(labels),
                at_s.encode(),
                number(value).encode(),
            )


def _matrix(found: QueryResult) -> Iterator[bytes]:
    from weatherglass.kernels import render  # compiled: only who asks waits for it

    begun, ends = render.heads(np.ascontiguousarray(found.times_ms))
    for at, labels in enumerate(found.series):
        there, native = found.present[at], []
        if found.histograms is not None:
            held = np.array([one is not None for one in found.histograms[at]], np.bool_) & there
            native = [
                f"[{seconds(found.times_ms.item(k))},{histogram(found.histograms[at, k])}]"
                for k in np.flatnonzero(held).tolist()
            ]
            there = there & ~held
        values = np.ascontiguousarray(found.values[at])
        texts = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
        flags = np.ascontiguousarray(there).view(np.uint8)
        cells = render.cells(begun, ends, texts, values, flags, number)
        kinds: list[tuple[bytes, bytes | bytearray]] = [
            (b"values", cells),
            (b"histograms", ",".join(native).encode()),
        ]
        parts = b"".join(piece for name, some in kinds if some for piece in (b',"', name, b'":[', some, b"]"))
        if parts:
            yield b'{"metric":%b%b}' % (_metric(labels), parts)


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


def _metric(labels: Any) -> bytes:
    return orjson.dumps(dict(labels))


def metadata(about: Any) -> list[dict[str, str]]:
    """What is known of one metric: `[{type, help, unit}]`, from a mapping or a list of them."""
    entries = [about] if isinstance(about, Mapping) else list(about)
    return [{key: str(entry.get(key, "")) for key in ("type", "help", "unit")} for entry in entries]


def exemplars(series: Any, found: Any) -> dict[str, Any]:
    """One series' exemplars, as `query_exemplars` gives them."""
    return {
        "seriesLabels": dict(series),
        "exemplars": [
            {"labels": dict(one.labels), "value": number(one.value), "timestamp": (one.time_ms or 0) / 1000}
            for one in found
        ],
    }
