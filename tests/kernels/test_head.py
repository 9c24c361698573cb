"""The head and the series table against plain dicts; stitching against numpy."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.protobuf import request
from weatherglass.base.errors import Corrupt
from weatherglass.kernels import labels, stitch, wire
from weatherglass.kernels.head import Head
from weatherglass.kernels.table import SeriesTable

FIRST, LAST = -(2**53), 2**53


def read(head, numbers, start=FIRST, end=LAST):
    numbers = np.array(numbers, np.int64)
    sizes = head.sizes(numbers, start, end)
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    times, values = np.empty(bounds[-1], np.int64), np.empty(bounds[-1])
    head.read(numbers, start, end, bounds, times, values)
    return [(times[a:b].tolist(), values[a:b].tolist()) for a, b in pairwise(bounds)]


def put(head, rows):
    flat = [one for _, samples in rows for one in samples]
    return head.append(
        np.array([number for number, _ in rows], np.int64),
        np.array([len(samples) for _, samples in rows], np.uint32),
        np.array([time for time, _ in flat], np.int64),
        np.array([value for _, value in flat], np.float64),
    )


WRITES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(1, 90), st.floats(-100, 100)), max_size=15
)


@settings(max_examples=200, deadline=None)
@given(WRITES)
def test_the_head_holds_every_sample_the_last_one_winning(writes):
    head, model = Head(), {}
    for number, first, count, value in writes:
        samples = [(first + k, value + k) for k in range(count)]
        mine = model.setdefault(number, {})
        newest = max(mine, default=-1)
        late_here = sum(time < newest for time, _ in samples)
        twice_here = sum(time == newest for time, _ in samples)
        assert put(head, [(number, samples)]) == (count, twice_here, late_here)
        mine.update(samples)
    for number, (times, values) in zip(range(5), read(head, range(5)), strict=True):
        assert dict(zip(times, values, strict=True)) == model.get(number, {})
    assert head.active().tolist() == sorted(model)
    assert head.series == len(model) and head.samples == sum(count for _, _, count, _ in writes)


def test_a_span_takes_whole_parts_and_leaves_out_the_rest():
    head = Head()
    put(head, [(0, [(k, float(k)) for k in range(640)])])
    ((times, _),) = read(head, [0], 100, 110)
    assert set(range(100, 111)) <= set(times) and len(times) <= 128


def test_a_series_at_rest_is_small():
    head = Head()
    head.reserve(1000)
    before = head.memory
    for k in range(0, 480, 10):
        put(head, [(n, [(1000 * j, float(n + j)) for j in range(k, k + 10)]) for n in range(1000)])
    assert (head.memory - before) / 1000 < 2500


def test_the_next_head_knows_where_series_stood():
    head = Head()
    put(head, [(3, [(100, 1.0)])])
    following = Head(head)
    assert put(following, [(3, [(50, 1.0), (100, 2.0), (101, 3.0)])]) == (3, 1, 1)


def test_numbers_that_were_not_reserved_are_refused():
    head = Head()
    for number in (-1, 1 << 20):
        with pytest.raises(IndexError):
            put(head, [(number, [(1, 1.0)])])
    with pytest.raises(IndexError):
        head.append(np.zeros(1, np.int64), np.ones(1, np.uint32), np.zeros(2, np.int64), np.zeros(2))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=60, unique=True))
def test_the_table_finds_what_was_added(keys):
    table = SeriesTable()
    for number, key in enumerate(keys):
        assert table.get(key) == -1
        table.add(key, number)
    assert [table.get(key) for key in keys] == list(range(len(keys)))
    assert [table.key_at(number) for number in range(len(keys))] == keys


def test_the_table_grows_and_looks_up_whole_requests():
    table, many = SeriesTable(), [([("__name__", "m"), ("n", str(n))], [(1, 1.0)]) for n in range(20_000)]
    for number, (pairs, _) in enumerate(many[:-1]):
        table.add(labels.write_labels(pairs), number)
    numbers, misses = table.lookup(wire.decode(request(many)))
    assert numbers.tolist() == [*range(19_999), -1] and misses == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=6), st.integers(1, 480))
def test_chunks_cut_and_stitched_are_the_same(lengths, most):
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    times = np.arange(bounds[-1]) * 15_000
    values = np.sin(times)
    owner, counts, time_bytes, time_at, value_bytes, value_at = stitch.encode_chunks(
        times, values, bounds, most
    )
    assert counts.max(initial=0) <= most
    assert np.bincount(owner, counts, len(lengths)).tolist() == lengths
    offsets = np.cumsum(counts) - counts
    got_times, got_values = np.zeros_like(times), np.zeros_like(values)
    stitch.decode_times(time_bytes, time_at[:-1], counts, offsets, got_times)
    stitch.decode_values(value_bytes, value_at[:-1], counts, offsets, got_values)
    assert (got_times == times).all() and (got_values == values).all()
    if len(counts):
        for starts, offset in ((time_at[:-1] + 10**6, offsets), (time_at[:-1], offsets + 10**6)):
            with pytest.raises(Corrupt):
                stitch.decode_times(time_bytes, starts, counts, offset, got_times)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 60), max_size=20), min_size=1, max_size=6),
    st.integers(-1, 61),
    st.integers(-1, 61),
)
def test_unsettled_and_trim(lists, first, last):
    bounds = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    times = np.array([time for one in lists for time in one], np.int64)
    wrong = [k for k, one in enumerate(lists) if one != sorted(set(one))]
    assert stitch.unsettled(times, bounds).tolist() == wrong
    lists = [sorted(one) for one in lists]
    times = np.array([time for one in lists for time in one], np.int64)
    low, high = stitch.trim(times, bounds[:-1], bounds[1:], first, last)
    for k, one in enumerate(lists):
        assert times[low[k] : high[k]].tolist() == [time for time in one if first <= time <= last]
