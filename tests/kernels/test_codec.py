"""Chunks come back bit by bit, whatever the numbers, and hostile bytes end in Corrupt."""

import math
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Corrupt, Invalid
from weatherglass.kernels import codec

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0002))[0]
BITS = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
ODD = st.sampled_from([math.nan, STALE, math.inf, -math.inf, -0.0, 5e-324, 1e308, 2.0**53 + 2, -(2.0**52)])
DECIMAL = st.builds(lambda n, e: n / 10.0**e, st.integers(-(10**15), 10**15), st.integers(0, 14))
COUNTER = st.lists(st.integers(0, 10**6), min_size=1, max_size=200).map(
    lambda steps: (1e9 + np.cumsum(steps)).tolist()
)
SMALL = st.integers(-50, 50).map(lambda n: n / 4)
VALUES = st.one_of(
    COUNTER,
    st.lists(BITS, min_size=1, max_size=150),
    st.lists(DECIMAL, min_size=1, max_size=150),
    st.lists(st.one_of(SMALL, SMALL, SMALL, SMALL, SMALL, ODD), min_size=1, max_size=300),
)


@settings(max_examples=400, deadline=None)
@given(VALUES)
@example([math.nan, math.nan, 1.0, 2.0])
@example([-0.0, 0.0, -0.0])
@example([STALE])
@example([0.1, 0.2, 0.1 + 0.2, 1e-12] * 40)
def test_values_come_back_to_the_bit(values):
    array = np.array(values, np.float64)
    back = codec.decode_values(codec.encode_values(array), len(array))
    assert back.view(np.uint64).tolist() == array.view(np.uint64).tolist()


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=150),
        st.lists(st.integers(14_990, 15_010), min_size=1, max_size=300).map(
            lambda steps: (1_795_219_200_000 + np.cumsum(steps)).tolist()
        ),
    )
)
def test_times_come_back(times):
    array = np.array(times, np.int64)
    assert codec.decode_times(codec.encode_times(array), len(array)).tolist() == times


RNG = np.random.default_rng(5)
SIZES = {  # a chunk of 480 values before zstd: what may it weigh a value
    "constant": (np.full(480, 256.0), 0.1),
    "counter": (1e9 + np.cumsum(RNG.poisson(300, 480)), 1.1),
    "seconds to a hundredth": (np.round(1e5 + np.cumsum(RNG.random(480) * 3), 2), 1.4),
    "gauge to a tenth": (np.round(RNG.normal(50, 3, 480), 1), 1.3),
    "pages of 4096 bytes": (np.floor(RNG.normal(1e11, 1e8, 480) / 4096) * 4096, 2.5),
    "a gauge with stale markers": (np.where(RNG.random(480) < 0.02, STALE, 7.0), 0.6),
    "full entropy": (RNG.normal(200, 5, 480), 8.1),
}


@pytest.mark.parametrize(("values", "most"), SIZES.values(), ids=SIZES)
def test_chunks_are_small(values, most):
    assert len(codec.encode_values(values)) / len(values) < most


@settings(max_examples=400, deadline=None)
@given(data=st.binary(min_size=1, max_size=300), n=st.integers(1, 500))
def test_any_bytes_decode_or_are_corrupt(data, n):
    for decode in (codec.decode_values, codec.decode_times):
        with suppress(Corrupt):
            assert len(decode(data, n)) == n


@settings(max_examples=300, deadline=None)
@given(values=VALUES, cut=st.integers(0, 400), flip=st.integers(0, 3000), n=st.integers(1, 400))
def test_damaged_chunks_decode_or_are_corrupt(values, cut, flip, n):
    data = bytearray(codec.encode_values(np.array(values, np.float64)))
    data[flip % len(data)] ^= 1 << (flip % 8)
    with suppress(Corrupt):
        assert len(codec.decode_values(bytes(data[: max(len(data) - cut, 1)]), n)) == n


def test_empty_and_too_long_chunks_are_refused():
    for n in (0, codec.CHUNK_MAX + 1):
        with pytest.raises(Invalid):
            codec.encode_values(np.zeros(n))
        with pytest.raises(Invalid):
            codec.decode_times(b"x", n)
