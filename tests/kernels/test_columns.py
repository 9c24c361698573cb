"""Records of the write-ahead log: whatever went in comes out; damage is Corrupt, never a read past the end."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Corrupt
from weatherglass.kernels import columns

SERIES = st.lists(
    st.tuples(
        st.integers(0, 2**32 - 1),
        st.one_of(st.just([1000, 2000, 3000]), st.lists(st.integers(-(2**53), 2**53), max_size=5)),
    ),
    max_size=12,
)


def arrays(series):
    times = [time for _, times in series for time in times]
    return (
        np.array([number for number, _ in series], np.int64),
        np.array([len(times) for _, times in series], np.uint32),
        np.array(times, np.int64),
        np.arange(len(times), dtype=np.float64) / 7,
    )


@settings(max_examples=300, deadline=None)
@given(SERIES)
def test_a_record_comes_back(series):
    given_columns = arrays(series)
    for before, after in zip(given_columns, columns.unpack(columns.pack(*given_columns)), strict=True):
        assert before.tolist() == after.tolist()


def test_times_shared_by_a_scrape_are_stored_once():
    series = [(number, [1_795_219_200_000 + 15_000 * k for k in range(5)]) for number in range(100)]
    assert len(columns.pack(*arrays(series))) < 100 * 5 * 8 + 100 * 3 + 40


@settings(max_examples=500, deadline=None)
@given(series=SERIES, flip=st.integers(0, 10_000), cut=st.integers(0, 40))
def test_damage_is_corrupt_or_harmless(series, flip, cut):
    data = bytearray(columns.pack(*arrays(series)))
    data[flip % len(data)] ^= 1 << (flip % 8)
    for damaged in (bytes(data), bytes(data[: len(data) - cut])):
        try:
            numbers, counts, times, values = columns.unpack(damaged)
        except Corrupt:
            continue
        assert len(numbers) == len(counts) and int(counts.sum()) == len(times) == len(values)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_corrupt(data):
    with suppress(Corrupt):
        columns.unpack(data)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(IndexError):
        columns.pack(np.zeros(1, np.int64), np.ones(1, np.uint32), np.zeros(2, np.int64), np.zeros(2))
