"""A write request as protobuf, written plainly: the other side of `kernels.wire` in tests and benchmarks."""

import struct


def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def label(name, value):
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def sample(time, value):
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(time))


def series(labels, samples):
    return field(1, b"".join(label(*pair) for pair in labels) + b"".join(sample(*one) for one in samples))


def request(many):
    """`many`: (labels, [(time, value)…]) pairs."""
    return b"".join(series(labels, samples) for labels, samples in many)
