"""Two answers to one query: put into one shape, and held against each other."""

import math

import numpy as np

from weatherglass.base.errors import Invalid, LimitExceeded
from weatherglass.metrics.promql import EXPERIMENTAL, evaluate, parse

RELATIVE, ABSOLUTE = 1e-9, 1e-9


def ours(query, select, start_ms, end_ms, step_ms):
    """{labels: {ms: value}} or the error."""
    try:
        found = evaluate(parse(query, EXPERIMENTAL), select, start_ms, end_ms, step_ms)
    except (Invalid, LimitExceeded) as error:
        return error
    return shape(found)


def shape(found):
    """A QueryResult as {labels: {ms: value}}."""
    return {
        labels: {int(found.times_ms[k]): float(found.values[i, k]) for k in np.flatnonzero(found.present[i])}
        for i, labels in enumerate(found.series)
    }


def theirs(answer):
    """Prometheus' JSON in the same shape, or its error's text."""
    if answer["status"] != "success":
        return f"{answer['errorType']}: {answer['error']}"
    data = answer["data"]
    if data["resultType"] == "scalar":
        return {(): {_ms(data["result"][0]): float(data["result"][1])}}
    out = {}
    for row in data["result"]:
        cells = row["values"] if "values" in row else [row["value"]]
        out[tuple(sorted(row["metric"].items()))] = {_ms(at): float(value) for at, value in cells}
    return out


def _ms(seconds):
    return round(seconds * 1000)


def same(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def difference(mine, peer, *, ties=False):
    """What differs, in a line; "" where they agree. Both refusing counts as agreement.

    With `ties` (topk) which of several equal series is chosen does not count, so values alone are compared.
    """
    if isinstance(mine, Exception) or isinstance(peer, str):
        if isinstance(mine, Exception) and isinstance(peer, str):
            return ""
        return f"ours: {_say(mine)}\n  peer: {_say(peer)}"
    if ties:
        mine, peer = _columns(mine), _columns(peer)
    if mine.keys() != peer.keys():
        return f"series only ours: {sorted(mine.keys() - peer.keys())[:3]}; only theirs: {sorted(peer.keys() - mine.keys())[:3]}"
    for labels, cells in mine.items():
        other = peer[labels]
        if cells.keys() != other.keys():
            return f"{labels}: instants only ours {sorted(cells.keys() - other.keys())[:3]}, only theirs {sorted(other.keys() - cells.keys())[:3]}"
        for at, value in cells.items():
            if not same(value, other[at]):
                return f"{labels} at {at}: ours {value!r}, theirs {other[at]!r}"
    return ""


def _columns(answer):
    """{(instant, place in order of value): {instant: value}}."""
    columns = {}
    for cells in answer.values():
        for at, value in cells.items():
            columns.setdefault(at, []).append(value)
    ordered = {at: sorted(values, key=lambda v: (math.isnan(v), v)) for at, values in columns.items()}
    return {(at, k): {at: value} for at, values in ordered.items() for k, value in enumerate(values)}


def _say(one):
    return str(one)[:300] if isinstance(one, Exception | str) else f"an answer of {len(one)} series"
