"""LNet nets and NIDs: names, ranges, intervals. Pure.

A range is held as intervals of 32-bit addresses on one net, which is what Lustre compares (lctl-nodemap_add_range(8):
a range must be contiguous). IPv4 alone: LNet knows IPv6 addresses only after 2.17.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple

from weatherglass.base.errors import Invalid

_NET = re.compile(r"(tcp|o2ib|kfi|gni)(\d{0,5})")
_OCTET = re.compile(r"(\d{1,3})|\[(\d{1,3})(?:-|\.\.)(\d{1,3})\]")
LAST = 2**32 - 1


def net_name(text: str) -> str:
    """A net's full name: `tcp` is `tcp0`. Raises Invalid."""
    form = _NET.fullmatch(text.strip())
    if not form or int(form[2] or 0) > 65535:
        raise Invalid(f"{text[:60]!r} is not an LNet net", mend="a name like tcp0 or tcp32769")
    return f"{form[1]}{int(form[2] or 0)}"


class Range(NamedTuple):
    """Addresses `low` … `high` (both included) on a net."""

    low: int
    high: int
    net: str

    def overlaps(self, other: Range) -> bool:
        return self.net == other.net and self.low <= other.high and other.low <= self.high

    def holds(self, address: int, net: str) -> bool:
        return self.net == net and self.low <= address <= self.high

    def __str__(self) -> str:
        return f"{spelled(self.low, self.high)}@{self.net}"


def dotted(address: int) -> str:
    return str(ipaddress.IPv4Address(address))


def nid(address: int, net: str) -> str:
    """`10.0.0.2@tcp0`."""
    return f"{dotted(address)}@{net}"


def spelled(low: int, high: int) -> str:
    """A contiguous range as Lustre writes it: `10.77.[0-3].[0-255]`. Raises Invalid where it is none."""
    octets, wide = [], False
    for shift in (24, 16, 8, 0):
        first, last = low >> shift & 255, high >> shift & 255
        if wide and (first, last) != (0, 255):
            raise Invalid(
                f"{dotted(low)} to {dotted(high)} is no range that Lustre can hold",
                mend="addresses whose lower octets run from 0 to 255, or several ranges",
            )
        if first != last:
            wide = True
        octets.append(str(first) if first == last else f"[{first}-{last}]")
    return ".".join(octets)


def read_range(text: str) -> Range:
    """A range in Lustre's form (`10.0.0.[2-7]@tcp`), ours (`[2..7]`) or a single NID. Raises Invalid."""
    addresses, at, net = text.strip().partition("@")
    parts = addresses.split(".") if ".." not in addresses else re.split(r"\.(?![.\d]*\])", addresses)
    low = high = 0
    wide = False
    forms = [_OCTET.fullmatch(part) for part in parts]
    if not at or len(parts) != 4 or not all(forms):
        raise Invalid(f"{text[:80]!r} is not a range of NIDs", mend="one like 10.0.0.[2-7]@tcp0")
    for form in forms:
        assert form is not None
        first, last = (int(form[1]),) * 2 if form[1] else (int(form[2]), int(form[3]))
        if first > last or last > 255:
            raise Invalid(f"{form[0]} in {text[:80]!r} is out of order or over 255")
        if wide and (first, last) != (0, 255):
            raise Invalid(
                f"{text[:80]!r} is not contiguous", mend="after the first [a-b] every octet is [0-255]"
            )
        wide |= first != last
        low, high = low << 8 | first, high << 8 | last
    return Range(low, high, net_name(net))


def of_cidr(cidr: str, net: str) -> Range:
    """All addresses of an IPv4 network. Raises Invalid."""
    try:
        network = ipaddress.IPv4Network(cidr, strict=True)
    except ValueError as error:
        raise Invalid(
            f"{cidr[:60]!r}: {error}", mend="an IPv4 network like 10.20.0.0/24, its host bits 0"
        ) from None
    return Range(int(network.network_address), int(network.broadcast_address), net_name(net))


def edges(ranges: Iterator[Range] | list[Range]) -> set[tuple[int, str]]:
    """Both ends of every range and the addresses beside them: where a NID's class can change."""
    found = set()
    for one in ranges:
        for address in (one.low - 1, one.low, one.high, one.high + 1):
            if 0 <= address <= LAST:
                found.add((address, one.net))
    return found
