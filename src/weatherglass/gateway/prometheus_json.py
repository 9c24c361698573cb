"""Results in Prometheus' JSON: values as strings, times in seconds, no cell that is absent. Pure.

Written by hand rather than through `json` where it is long: a range over 2,000 series holds millions of cells.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np

from weatherglass.base.errors import Invalid

if TYPE_CHECKING:
    from weatherglass.metrics.types import QueryResult


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


def result(found: QueryResult) -> bytes:
    """A query's whole answer."""
    data = b'{"resultType":"%s","result":%s}' % (found.type.encode(), "".join(_result(found)).encode())
    told = {name: list(said) for name, said in (("warnings", found.warnings), ("infos", found.infos)) if said}
    more = "".join(f",{json.dumps(name)}:{json.dumps(said)}" for name, said in told.items())
    return b'{"status":"success","data":%s%s}' % (data, more.encode())


def _result(found: QueryResult) -> Iterator[str]:
    times = [seconds(ms) for ms in found.times_ms.tolist()]
    if found.type == "string":
        yield f"[{times[0]},{json.dumps(found.text)}]"
    elif found.type == "scalar":
        yield f'[{times[0]},"{number(found.values.item(0))}"]'
    elif found.type == "vector":
        yield "["
        first = True
        for at, labels in enumerate(found.series):
            if found.present[at, 0]:
                yield "" if first else ","
                first = False
                value = number(found.values.item(at, 0))
                yield f'{{"metric":{_metric(labels)},"value":[{times[0]},"{value}"]}}'
        yield "]"
    else:
        yield "["
        first = True
        for at, labels in enumerate(found.series):
            steps = np.flatnonzero(found.present[at]).tolist()
            if steps:
                values = found.values[at].tolist()
                cells = ",".join([f'[{times[step]},"{number(values[step])}"]' for step in steps])
                yield "" if first else ","
                first = False
                yield f'{{"metric":{_metric(labels)},"values":[{cells}]}}'
        yield "]"


def _metric(labels: Any) -> str:
    return json.dumps(dict(labels), ensure_ascii=False)


def metadata(about: Any) -> list[dict[str, str]]:
    """What is known of one metric: `[{type, help, unit}]`, from a mapping or a list of them."""
    entries = [about] if isinstance(about, Mapping) else list(about)
    return [{key: str(entry.get(key, "")) for key in ("type", "help", "unit")} for entry in entries]
