"""Remote write bodies: what a plain encoder wrote comes back; any other bytes are Invalid or harmless."""

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.protobuf import field, label, request, sample, series, varint
from weatherglass.base.errors import Invalid
from weatherglass.kernels import labels, wire

TEXT = st.text(max_size=20).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
LABELS = st.dictionaries(TEXT, TEXT, max_size=6).map(lambda pairs: sorted(pairs.items()))
SAMPLES = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=True, width=64)), max_size=8
)
REQUESTS = st.lists(st.tuples(LABELS, SAMPLES), max_size=8)


def bits(values):
    return [struct.pack("<d", value) for value in values]


@settings(max_examples=300, deadline=None)
@given(REQUESTS)
def test_columns_are_what_was_sent(many):
    batch = wire.decode(request(many))
    assert batch.counts.tolist() == [len(samples) for _, samples in many]
    assert batch.times.tolist() == [time for _, samples in many for time, _ in samples]
    assert bits(batch.values.tolist()) == bits([value for _, samples in many for _, value in samples])
    for k, (pairs, _) in enumerate(many):
        span = bytes(batch.raw)[batch.starts[k] : batch.starts[k] + batch.sizes[k]]
        assert labels.read_labels(span) == (pairs, True)
        assert span == labels.write_labels(pairs)


@settings(max_examples=600, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_columns_or_invalid(data):
    _consistent(data)


@settings(max_examples=600, deadline=None)
@given(
    many=REQUESTS,
    edits=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 60),
    insert=st.tuples(st.integers(0, 5000), st.binary(max_size=12)),
)
def test_damaged_requests_are_columns_or_invalid(many, edits, cut, insert):
    data = bytearray(request(many))
    for at, byte in edits:
        if data:
            data[at % len(data)] = byte
    at = insert[0] % (len(data) + 1)
    data[at:at] = insert[1]
    _consistent(bytes(data[: max(len(data) - cut, 0)]))


def _consistent(data):
    try:
        batch = wire.decode(data)
    except Invalid as error:
        assert error.problems[0].mend
        return
    assert int(batch.counts.sum()) == len(batch.times) == len(batch.values)
    assert (batch.starts >= 0).all() and (batch.starts + batch.sizes <= len(data)).all()
    for start, size in zip(batch.starts.tolist(), batch.sizes.tolist(), strict=True):
        with suppress(Invalid):
            labels.read_labels(data[start : start + size])


def test_order_and_unknown_fields_do_not_matter():
    unknown = varint(15 << 3) + varint(7) + field(14, b"xyz") + varint(13 << 3 | 5) + b"1234"
    value = b"\x10" + varint(5) + unknown + b"\x09" + struct.pack("<d", 2.5)
    body = label("a", "b") + field(2, value) + label("c", "d") + unknown
    batch = wire.decode(unknown + field(1, body))
    assert (batch.times.tolist(), batch.values.tolist()) == ([5], [2.5])
    span = bytes(batch.raw)[batch.starts[0] : batch.starts[0] + batch.sizes[0]]
    assert labels.read_labels(span) == ([("a", "b"), ("c", "d")], False)


def test_metadata_and_histograms_are_counted():
    body = label("__name__", "x") + field(4, b"\x08\x01") + sample(1, 1.0)
    batch = wire.decode(field(1, body) + field(3, b"\x08\x01") + field(3, b""))
    assert (batch.histograms, batch.metadata, len(batch.times)) == (1, 2, 1)


HOSTILE = {
    "a length beyond the end": b"\x0a\xff\xff\xff\xff\x0f",
    "a length of 2^64 - 1": b"\x0a" + b"\xff" * 9 + b"\x01",
    "a varint without end": b"\x0a" + b"\x80" * 30,
    "a group": b"\x0b\x0c",
    "field number 0": b"\x02\x00",
    "a series cut short": series([("a", "b")], [(1, 2.0)])[:-1],
    "a sample that ends in its value": field(1, field(2, b"\x09\x00\x00")),
    "a label beyond its series": field(1, b"\x0a\x7fabc"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_invalid(data):
    with pytest.raises(Invalid):
        wire.decode(data)


def test_labels_that_are_not_utf8_are_invalid():
    with pytest.raises(Invalid, match="UTF-8"):
        labels.read_labels(field(1, field(1, b"\xff") + field(2, b"x")))


def test_long_keys_hash_apart():
    keys = {bytes([k % 251]) * n for k in range(8) for n in (0, 7, 8, 1023, 1024, 1025, 5000)}
    assert len({wire.hash_of(key) for key in keys}) == len(keys)
    assert len(np.unique([wire.hash_of(b"x%d" % k) & 0xFFFF for k in range(2000)])) > 1900
