"""`weatherglass shares guard`: one leg's guard in the foreground. Events as JSON lines, counts into a file for the agent."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from weatherglass.base.errors import Invalid
from weatherglass.base.time import SystemClock
from weatherglass.engine.files import RealFiles
from weatherglass.shares.guard import wire
from weatherglass.shares.guard.serve import Guard
from weatherglass.shares.nids import dotted, read_range

EVERY_S = 10


def address_port(text: str, option: str) -> tuple[str, int]:
    """`10.20.0.2:9880`. Raises Invalid."""
    host, colon, port = text.rpartition(":")
    try:
        IPv4Address(host)
        if not colon or not 0 <= int(port) <= 65535:
            raise ValueError
    except ValueError:
        raise Invalid(f"{text[:60]!r} is not ADDRESS:PORT", where=option, mend="10.20.0.2:9880") from None
    return host, int(port)


def guard(
    leg: str,
    peers: Sequence[str],
    to: Sequence[str],
    *,
    listen: str = "",
    outbound: str = "",
    server: str = "",
    counts: Path | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. Raises Invalid, Unavailable."""
    try:
        own = read_range(leg)
        rules = wire.rules(own, [read_range(one) for one in peers], [read_range(one) for one in to])
    except ValueError as error:
        raise Invalid(
            str(error), where="--leg", mend="--leg 10.20.0.254@tcp32769 --peers 10.20.0.[0-255]@tcp32769"
        ) from None
    address = dotted(own.low)

    def report(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    made = Guard(rules, address_port(server or f"{address}:988", "--server"), SystemClock(), report)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    host, port = address_port(listen or f"{address}:9880", "--listen")
    port = made.listen(host, port)
    sys.stderr.write(f"READY {host}:{port} guards {own}\n")
    if outbound != "none":
        made.listen(*address_port(outbound or f"{address}:9881", "--outbound"), outbound=True)
    files = RealFiles()
    while True:
        last = stopping.wait(EVERY_S)
        if counts:
            files.write_atomic(counts, made.counts.exposition(str(own)).encode())
        if last:
            break
    made.stop()
