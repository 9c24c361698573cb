"""Remote write 2.0: what a request comes to, what is left out and told, and that no bytes break it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.protobuf import field, varint

from formats import remote2 as wire
from weatherglass.base.errors import Invalid, TooLarge, WeatherglassError
from weatherglass.kernels import wire2
from weatherglass.kernels.labels import read_labels
from weatherglass.metrics import histogram_wire, remote2
from weatherglass.metrics.formats.taken import Exemplar, Family

NAMED = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
LABELS = st.dictionaries(NAMED, NAMED, max_size=5)
SAMPLES = st.lists(
    st.tuples(st.integers(-(1 << 52), 1 << 52), st.floats(allow_nan=False)), min_size=1, max_size=4
)


def columns(batch: object) -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
    """A batch's series with their labels and samples."""
    found, at = [], 0
    for start, size, count in zip(
        batch.starts.tolist(), batch.sizes.tolist(), batch.counts.tolist(), strict=True
    ):
        pairs, pure = read_labels(bytes(batch.raw[start : start + size]))
        assert pure
        span = slice(at, at + count)
        found.append(
            (dict(pairs), list(zip(batch.times[span].tolist(), batch.values[span].tolist(), strict=True)))
        )
        at += count
    return found


@given(st.lists(st.tuples(LABELS, NAMED, SAMPLES), max_size=6))
def test_series_come_out_as_they_went_in(many: list) -> None:
    symbols, parts, expected = wire.Symbols(), [], []
    for labels, name, samples in many:
        labels = {**labels, "__name__": name}
        parts.append(wire.series(symbols.refs(labels.items()), *(wire.sample(*one) for one in samples)))
        expected.append((labels, samples))
    taken = remote2.request(wire.request(symbols, *parts))
    assert columns(taken.batch) == expected and not taken.wrong and taken.native is None


def test_histograms_exemplars_and_metadata_come_beside() -> None:
    symbols = wire.Symbols()
    total = wire.series(
        symbols.refs([("__name__", "http_requests_total"), ("code", "200")]),
        wire.sample(1000, 7.0),
        wire.exemplar(symbols, [("trace_id", "abc")], 0.5, 999),
        wire.metadata(symbols, "counter", "Requests.", "requests"),
        wire.created(5),
    )
    native = wire.series(
        symbols.refs([("__name__", "latency_seconds")]),
        wire.histogram(2000, 3, {1: 2, 2: 5, 3: 1}, 4.5),
        wire.metadata(symbols, "histogram", "Waiting.", "seconds"),
    )
    classic = wire.series(
        symbols.refs([("__name__", "old_bucket"), ("le", "1")]),
        wire.sample(3000, 1.0),
        wire.metadata(symbols, "histogram", "Old.", ""),
    )
    taken = remote2.request(wire.request(symbols, total, native, classic))
    assert [row[1] for row in columns(taken.batch)] == [[(1000, 7.0)], [], [(3000, 1.0)]]
    series = (("__name__", "http_requests_total"), ("code", "200"))
    assert taken.exemplars == [Exemplar(series, (("trace_id", "abc"),), 0.5, 999)]
    assert taken.families == {
        "http_requests_total": Family("counter", "Requests.", "requests"),
        "latency_seconds": Family("histogram", "Waiting.", "seconds"),
        "old": Family("histogram", "Old.", ""),
    }
    assert taken.native is not None and taken.native.batch.times.tolist() == [2000]
    message = wire.histogram(2000, 3, {1: 2, 2: 5, 3: 1}, 4.5)
    payload = next(body for number, body in histogram_wire.fields(message) if number == 3)
    assert taken.native.packed == [histogram_wire.decode(payload)[1].pack()]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (field(1, varint(99) + varint(1)) + wire.sample(1, 1), "lead nowhere"),
        (field(1, varint(1)) + wire.sample(1, 1), "lead nowhere"),
        (field(1, varint(2) + varint(1)) + wire.sample(1, 1), "without a name"),
        (field(1, varint(1) + varint(0)) + wire.sample(1, 1), "without a name"),
        (field(1, varint(1) + varint(2)), "without samples"),
        (field(1, varint(1) + varint(2)) + wire.sample(1 << 60, 1), "timestamp"),
        (field(1, varint(1) + varint(2)) + wire.sample(1, 1) + wire.histogram(1, 0, {0: 1}, 1), "samples and histograms"),
        (field(1, varint(1) + varint(2)) + field(3, b"\x01"), "native histogram"),
        (field(1, varint(1) + varint(2)) + wire.sample(1, 1) + field(4, field(1, varint(77) * 2)), "exemplar"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_told_and_the_rest_stands(broken: bytes, why: str) -> None:
    symbols = wire.Symbols()
    good = wire.series(symbols.refs([("__name__", "good")]), wire.sample(5, 6.0))
    taken = remote2.request(wire.request(symbols, field(5, broken), good))
    assert columns(taken.batch)[-1] == ({"__name__": "good"}, [(5, 6.0)])
    assert taken.left_out == 1 and why in taken.wrong[0]


def test_a_table_that_begins_with_a_text_is_refused() -> None:
    body = field(4, b"x") + field(5, field(1, varint(0) * 2) + wire.sample(1, 1))
    with pytest.raises(Invalid, match="not empty"):
        remote2.request(body)


def test_references_cannot_blow_up() -> None:
    symbols = wire.Symbols()
    refs = symbols.refs([("__name__", "x" * (1 << 20))])
    body = wire.request(symbols, *[wire.series(refs, wire.sample(1, 1))] * 200)
    with pytest.raises(TooLarge):
        wire2.decode(body)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_noise_is_refused_or_taken(noise: bytes) -> None:
    try:
        taken = remote2.request(noise)
    except WeatherglassError:
        return
    assert len(columns(taken.batch)) == len(taken.batch.counts)


@settings(max_examples=300)
@given(st.data())
def test_a_request_that_was_damaged_is_refused_or_taken(data: st.DataObject) -> None:
    symbols = wire.Symbols()
    one = wire.series(
        symbols.refs([("__name__", "a"), ("b", "c")]),
        wire.sample(1, 2.0),
        wire.exemplar(symbols, [("t", "u")], 1.0, 1),
        wire.metadata(symbols, "gauge", "h", "u"),
    )
    two = wire.series(symbols.refs([("__name__", "n")]), wire.histogram(1, 2, {0: 1, 1: 3}, 2.0))
    body = bytearray(wire.request(symbols, one, two))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        remote2.request(bytes(body[: data.draw(st.integers(0, len(body)))]))
    except WeatherglassError:
        return


def test_doubles_keep_their_bits() -> None:
    symbols = wire.Symbols()
    stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
    body = wire.request(symbols, wire.series(symbols.refs([("__name__", "a")]), wire.sample(1, stale)))
    assert remote2.request(body).batch.values.view("uint64").tolist() == [0x7FF0000000000002]
