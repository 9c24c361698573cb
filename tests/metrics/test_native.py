"""Native histograms in the store: in by the wire, through log, head and block, out by `select`; deleted, dropped."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.protobuf import field, label, request, varint

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Written
from weatherglass.metrics import Matcher
from weatherglass.metrics.histogram import Histogram, Reset, side
from weatherglass.metrics.histogram_wire import decode
from weatherglass.metrics.native import NativeSamples

NOW = 1_800_000_000_000
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0002))[0]
NAME = [Matcher("__name__", "=", "h")]


def zigzag(number):
    return varint((number << 1) ^ (number >> 63))


def double(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


def spans(number, indices):
    """BucketSpans of ascending indices."""
    out, last, start = b"", 0, 0
    while start < len(indices):
        end = start
        while end + 1 < len(indices) and indices[end + 1] == indices[end] + 1:
            end += 1
        out += field(number, b"\x08" + zigzag(indices[start] - last) + b"\x10" + varint(end - start + 1))
        last, start = indices[end] + 1, end + 1
    return out


def message(time, one, *, whole=True):
    """A prometheus.Histogram as a sender writes it: integers as deltas, floats as they are."""
    out = (varint(1 << 3) + varint(int(one.count))) if whole else double(2, one.count)
    out += double(3, one.sum) + varint(4 << 3) + zigzag(one.schema) + double(5, one.zero_threshold)
    out += (varint(6 << 3) + varint(int(one.zero_count))) if whole else double(7, one.zero_count)
    for number, part in ((8, one.negative), (11, one.positive)):
        counts = part.count.tolist()
        out += spans(number, part.index.tolist())
        if whole and counts:
            deltas = [int(b - a) for a, b in zip([0.0, *counts], counts, strict=False)]
            out += field(number + 1, b"".join(map(zigzag, deltas)))
        elif counts:
            out += field(number + 2, struct.pack(f"<{len(counts)}d", *counts))
    out += varint(14 << 3) + varint(one.reset_hint) + varint(15 << 3) + varint(time)
    if one.custom_values:
        out += field(16, struct.pack(f"<{len(one.custom_values)}d", *one.custom_values))
    return out


def series(name, *histograms, samples=b""):
    return field(
        1, label("__name__", name) + label("n", "1") + samples + b"".join(field(4, one) for one in histograms)
    )


def example(k=0, schema=3):
    return Histogram(
        schema=schema,
        zero_threshold=0.001,
        zero_count=2.0 + k,
        count=20.0 + k,
        sum=1.5 * k,
        positive=side([-3, -2, 5], [4, 3 + k, 5]),
        negative=side([0, 7], [1, 5]),
        reset_hint=Reset.NO,
    )


COUNTS = st.dictionaries(st.integers(-300, 300), st.integers(1, 1 << 40), max_size=12)


@given(
    st.builds(
        lambda schema, zero, total, amount, positive, negative, hint: Histogram(
            schema=schema,
            zero_threshold=2.0**-100,
            zero_count=float(zero),
            count=float(total),
            sum=amount,
            positive=side(sorted(positive), [positive[i] for i in sorted(positive)]),
            negative=side(sorted(negative), [negative[i] for i in sorted(negative)]),
            reset_hint=hint,
        ),
        st.integers(-4, 8),
        st.integers(0, 1 << 50),
        st.integers(0, 1 << 50),
        st.floats(allow_nan=False),
        COUNTS,
        COUNTS,
        st.sampled_from(Reset),
    ),
    st.integers(-(1 << 50), 1 << 50),
    st.booleans(),
)
def test_what_a_sender_writes_is_what_is_read(one, time, whole):
    assert decode(message(time, one, whole=whole)) == (time, one)


@given(st.binary(max_size=60), st.integers(0, 400))
def test_hostile_bytes_are_invalid(noise, at):
    sound = message(NOW, example())
    for data in (noise, sound[:at], sound[:at] + noise + sound[at + len(noise) :]):
        try:
            time, one = decode(data)
        except Invalid:
            continue
        assert isinstance(time, int) and len(one.positive.index) == len(one.positive.count)


def test_a_histogram_with_a_long_span_is_refused_before_it_is_made():
    huge = field(11, b"\x08\x00\x10" + varint(1 << 31))
    with pytest.raises(Invalid, match="too many buckets"):
        decode(varint(4 << 3) + b"\x06" + huge)


def seen(store, start=NOW - 10**9, end=NOW + 10**9, matchers=NAME):
    found = store.select("t", matchers, start, end)
    assert found.histograms is not None or not found.labels
    return {
        dict(one)["__name__"]: (
            dict(zip(times.tolist(), values.tolist(), strict=True)),
            dict(zip(many[0].tolist(), many[1], strict=True)),
        )
        for one, times, values, many in zip(
            found.labels, found.times, found.values, found.histograms or [], strict=True
        )
    }


def test_histograms_come_back_from_head_log_and_block(place):
    store = place.open()
    custom = Histogram(
        schema=-53, count=6.0, sum=3.0, positive=side([0, 2], [2, 4]), custom_values=(0.5, 1.0, 2.0)
    )
    body = series(
        "h", *(message(NOW + k, example(k)) for k in range(3)), message(NOW + 9, custom, whole=False)
    )
    assert store.write("t", body, "") == Written(4, histograms=4)
    expected = {NOW + k: example(k) for k in range(3)} | {NOW + 9: custom}
    assert seen(store) == {"h": ({}, expected)}
    store = place.open()
    assert seen(store) == {"h": ({}, expected)} and store.stats()["replayed"] == 4
    assert store.seal() == 1
    assert seen(store) == {"h": ({}, expected)}
    assert store.write("t", series("h", message(NOW + 1, example(50)), message(NOW + 9, example(9))), "") == (
        Written(2, duplicates=1, out_of_order=1, histograms=2)
    )
    expected |= {NOW + 1: example(50), NOW + 9: example(9)}
    for _ in range(2):
        assert seen(store) == {"h": ({}, expected)}
        assert seen(store, NOW + 2, NOW + 8) == {"h": ({}, {NOW + 2: example(2)})}
        assert store.series("t", [NAME]) == [{"__name__": "h", "n": "1"}]
        store.seal()
        store = place.open()


def test_floats_and_histograms_of_one_series_and_stale_markers(place):
    store = place.open()
    floats = field(2, b"\x09" + struct.pack("<d", 4.0) + b"\x10" + varint(NOW + 5))
    stale = Histogram(sum=STALE)
    store.write("t", series("h", message(NOW, example()), message(NOW + 1, stale), samples=floats), "")
    store.write("t", request([([("__name__", "f"), ("n", "1")], [(NOW, 1.0)])]), "")
    for _ in range(2):
        got = seen(store, matchers=[Matcher("n", "=", "1")])
        assert got["f"] == ({NOW: 1.0}, {}) and got["h"][0] == {NOW + 5: 4.0}
        assert struct.pack("<d", got["h"][1][NOW + 1].sum) == struct.pack("<Q", 0x7FF0_0000_0000_0002)
        assert got["h"][1][NOW] == example()
        store.seal()
        store = place.open()


def test_histograms_are_deleted_cleaned_and_dropped_by_age(place):
    store = place.open(retention_s=3600)
    labels = (("__name__", "h"), ("n", "1"))
    hour = 3_600_000
    store.append_histograms("t", NativeSamples([labels], [[NOW + k for k in range(5)]], [[example()] * 5]))
    assert store.delete("t", [NAME], NOW + 1, NOW + 2) == 1
    assert list(seen(store)["h"][1]) == [NOW, NOW + 3, NOW + 4]
    assert store.clean() == 1 and store.stats()["histograms"] == 3
    assert list(seen(place.open(retention_s=3600))["h"][1]) == [NOW, NOW + 3, NOW + 4]
    store = place.store
    place.clock.advance(7200)
    written = store.append_histograms(
        "t", NativeSamples([labels], [[NOW, NOW + 2 * hour]], [[example(), example(1)]])
    )
    assert written == Written(1, too_old=1, histograms=1)
    assert store.retire() == 1
    assert list(seen(store)["h"][1]) == [NOW + 2 * hour]


def test_many_series_of_histograms_fill_pages(place):
    store = place.open()
    names = [(("__name__", f"h{k:03}"), ("n", "1")) for k in range(150)]
    many = [[example(k + j) for j in range(20)] for k in range(150)]
    store.append_histograms("t", NativeSamples(names, [[NOW + 15_000 * j for j in range(20)]] * 150, many))
    store.seal()
    found = store.select("t", [Matcher("n", "=", "1")], NOW, NOW + 10**9)
    assert [one[1] for one in found.histograms] == many
    assert all(np.array_equal(one[0], NOW + 15_000 * np.arange(20)) for one in found.histograms)
    stats = store.stats()
    assert stats["histograms"] == 3000 and stats["histogram_bytes"] < 40 * 3000
