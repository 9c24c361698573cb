"""The head and the series table against plain dicts; stitching against numpy."""

import math
import struct
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
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0002))[0]


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


@pytest.mark.parametrize("gap", [0, 7])
@pytest.mark.parametrize("span", [(100, 110), (0, 3), (630, 700), (100, 99), (800, 900), (-9, -1), (0, 2000)])
def test_a_span_is_read_with_little_around_it(span, gap):
    head = Head()
    samples = [(k, k / 8) for k in range(640) if not gap or k % 100 != gap]
    put(head, [(1, [(k, 1.0) for k in range(640)]), (0, samples)])
    for number, expected in ((1, [(k, 1.0) for k in range(640)]), (0, samples)):
        ((times, values),) = read(head, [number], *span)
        got = list(zip(times, values, strict=True))
        assert [one for one in got if span[0] <= one[0] <= span[1]] == [
            one for one in expected if span[0] <= one[0] <= span[1]
        ]
        assert (number == 0 and gap) or all(span[0] <= time <= span[1] for time in times)


ODD = st.sampled_from(
    [math.nan, STALE, -0.0, math.inf, -math.inf, 5e-324, 1e308, 2.0**52, -(2.0**60), 0.1 + 0.2]
)
STRETCH = st.one_of(
    st.tuples(st.just("ramp"), st.integers(-(10**12), 10**12), st.integers(-9, 5000), st.integers(0, 6)),
    st.tuples(st.just("pages"), st.integers(0, 10**9), st.integers(0, 50), st.just(0)),
    st.tuples(st.just("same"), st.floats(), st.just(0), st.just(0)),
    st.tuples(st.just("noise"), st.integers(1, 2**31), st.just(0), st.just(0)),
    st.tuples(st.just("odd"), ODD, st.integers(1, 9), st.just(0)),
)


def stretch(kind, a, b, c, n):
    chance = np.random.default_rng(abs(hash((a, b, c))) % 2**32)
    if kind == "ramp":
        return (a + np.cumsum(b + chance.integers(0, 3, n))) / 10.0**c
    if kind == "pages":
        return (a + np.cumsum(chance.integers(-b - 1, b + 1, n))) * 4096.0
    if kind == "same":
        return np.full(n, a)
    if kind == "noise":
        return chance.normal(0, a, n)
    values = np.round(chance.normal(50, 10, n), 1)
    values[chance.integers(0, n, b)] = a
    return values


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(STRETCH, st.integers(1, 60), st.integers(0, 3)), min_size=1, max_size=8),
    st.integers(0, 3),
)
def test_a_stack_gives_every_bit_back(stretches, others):
    """Values of many kinds after each other, with gaps in time while others go on."""
    head, at, expected = Head(), 0, []
    for (kind, a, b, c), n, gap in stretches:
        values = stretch(kind, a, b, c, n)
        for value in values.tolist():
            for other in range(others):
                put(head, [(1 + other, [(at + 15 * k, 0.5) for k in range(gap + 1)])])
            at += 15 * gap
            put(head, [(0, [(at, value)])])
            expected.append((at, struct.pack("<d", value)))
            at += 15
    ((times, values),) = read(head, [0])
    assert list(zip(times, [struct.pack("<d", value) for value in values], strict=True)) == expected
    middle = expected[len(expected) // 2][0]
    for span in ((middle, LAST), (FIRST, middle), (middle - 60, middle + 60)):
        ((times, values),) = read(head, [0], *span)
        got = list(zip(times, [struct.pack("<d", v) for v in values], strict=True))
        assert [one for one in got if span[0] <= one[0] <= span[1]] == [
            one for one in expected if span[0] <= one[0] <= span[1]
        ]


def test_times_are_shared_by_what_is_scraped_together():
    together, apart = Head(), Head()
    for head, step in ((together, 0), (apart, 1)):
        head.reserve(200)
        for k in range(480):
            put(
                head,
                [(n, [(15_000 * k + (n * step * 77 + step * k * (n % 5)) % 1000, 1.0)]) for n in range(200)],
            )
    assert together.memory / 200 < 300 and apart.memory / 200 > 1500


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
    body = b"".join(struct.pack("<II", number, len(key)) + key for number, key in enumerate(keys))
    loaded = SeriesTable()
    loaded.load(body)
    assert [loaded.get(key) for key in keys] == list(range(len(keys))) and len(loaded) == len(keys)
    if keys:
        with pytest.raises(Corrupt):
            loaded.load(body[:-1] if keys[-1] else body[:-4])


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
