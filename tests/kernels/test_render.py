"""Cells of an answer as text, held to Python's own reading and to `number` and `seconds` of the gateway."""

from __future__ import annotations

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.gateway.prometheus_json import number, seconds
from weatherglass.kernels import render

ODD = [0.0, -0.0, 1e15, 1e16, -1e16, 1e22, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 0.1, 12.0, 1 / 3]
VALUES = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(ODD)
TIMES = st.integers(-(1 << 53), 1 << 53)


def rendered(times: list[int], values: list[float], present: list[bool]) -> str:
    begun, ends = render.heads(np.array(times, np.int64))
    column = np.array(values, np.float64)
    texts = orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)
    return render.cells(begun, ends, texts, column, np.array(present, np.uint8), number).decode()


@given(st.lists(st.tuples(TIMES, VALUES, st.booleans())))
def test_cells_are_what_python_would_write(rows: list[tuple[int, float, bool]]) -> None:
    times, values, present = ([row[k] for row in rows] for k in range(3))
    wanted = ",".join(f'[{seconds(t)},"{number(v)}"]' for t, v, there in rows if there)
    assert rendered(times, values, [bool(one) for one in present]) == wanted


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_values_come_back_bit_by_bit(values: list[float]) -> None:
    found = json.loads(f"[{rendered(list(range(len(values))), values, [True] * len(values))}]")
    back = np.array([float(text) for _, text in found])
    assert (back.view(np.int64) == np.array(values).view(np.int64)).all()


@pytest.mark.parametrize("texts", [b"", b"[]", b"[1.0]", b"[1.0,2.0,3.0]", b"1.0,2.0", b"[,]"])
def test_a_list_of_other_values_is_refused(texts: bytes) -> None:
    begun, ends = render.heads(np.array([1, 2], np.int64))
    with pytest.raises(ValueError):
        render.cells(begun, ends, texts, np.array([1.0, 2.0]), np.ones(2, np.uint8), number)
