"""A clock that is set back, or jumps ahead, corrupts nothing: in a whole house by a clock moved by hand, in the tailer,
and in a real server under libfaketime where that is installed.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zstandard

from faults.load import writers
from faults.served import Server
from weatherglass.agent.tail import Follow, Tailer
from weatherglass.base.time import ManualClock
from weatherglass.engine.protocols import Heartbeat, RawEvent, Samples
from weatherglass.house.build import House, Options
from weatherglass.metrics import Matcher

STEPS_S = (0, -1, -3600, 7200, -86400 * 3, 86400 * 10, -86400 * 9, -5)
"""How the wall clock is set between two rounds of writing; ahead by less than retention, which would be right to drop."""


@contextmanager
def house(state: Path, clock: ManualClock) -> Iterator[House]:
    one = House(Options(state), clock=clock)
    one.start()
    try:
        yield one
    finally:
        one.stop()


class Written:
    """What was acknowledged, in order."""

    def __init__(self) -> None:
        self.samples: dict[int, float] = {}
        self.events: list[str] = []
        self.entries: list[str] = []
        self.tokens: dict[str, str] = {}

    def write(self, one: House, clock: ManualClock, turn: int) -> None:
        now = clock.now_ns()
        for _ in range(20):
            at = clock.now_ns() // 1_000_000
            told = one.metrics.append("site", Samples([(("__name__", "m"),)], [[at]], [[float(turn)]]))
            if told.stored:
                self.samples[at] = float(turn)
            text = f"round {turn} at {len(self.events)}"
            one.logs.write_raw("site", [RawEvent(clock.now_ns(), (("host", "h"),), text)])
            self.events.append(text)
            clock.advance(0.05)
        name = f"token-{turn}"
        self.tokens[name] = one.identity.create(name, "viewer", ["site"]).token
        self.entries.append(name)
        one.health.heartbeat(Heartbeat("h", "boot", turn, now, 2.0), clock.now_ns())
        one.health.tick(clock.now_ns())

    def check(self, one: House) -> None:
        found = one.metrics.select("site", [Matcher("__name__", "=", "m")], 0, 1 << 60)
        (times,), (values,) = found.times, found.values
        assert (np.diff(times) > 0).all()
        assert dict(zip(times.tolist(), values.tolist(), strict=True)) == self.samples
        page = one.logs.search("site", start_ns=0, end_ns=1 << 62, limit=10_000, words="round")
        assert sorted(event.message for event in page.events) == sorted(self.events)
        stamps = [event.time_ns for event in page.events]
        assert stamps == sorted(stamps, reverse=True)
        made = [entry for entry in one.ledger.read(limit=10_000) if entry.what == "token.create"]
        assert [entry.after["name"] for entry in reversed(made) if entry.after] == self.entries
        for name, token in self.tokens.items():
            assert one.identity.resolve(token).name == name


def test_a_house_whose_clock_is_set_back_and_ahead(tmp_path: Path) -> None:
    clock, written = ManualClock(), Written()
    state = tmp_path / "state"
    state.mkdir()
    for turn, step in enumerate(STEPS_S):
        # Set while it runs, and set between two runs.
        with house(state, clock) as one:
            written.write(one, clock, 2 * turn)
            clock.step(step)
            written.write(one, clock, 2 * turn + 1)
            one.metrics.seal()
            one.logs.seal("site")
            written.check(one)
        clock.step(-step / 2)
    with house(state, clock) as one:
        written.check(one)


class Jittery(ManualClock):
    """No two looks at it agree, as with real clocks read one after the other."""

    def now_ns(self) -> int:
        return super().now_ns() + random.randrange(-500, 500)


class FakeOutbox:
    """A fake of the agent's outbox: keeps what is put."""

    crowded = False

    def __init__(self) -> None:
        self.times: list[int] = []

    def put(self, kind: str, body: bytes, note: bytes = b"") -> int:
        text = zstandard.ZstdDecompressor().decompress(body, max_output_size=1 << 24)
        self.times += [json.loads(line)[0] for line in text.splitlines()]
        return len(self.times)


def test_lines_keep_their_order_whatever_two_clocks_say(tmp_path: Path) -> None:
    clock, outbox, log = Jittery(), FakeOutbox(), tmp_path / "s.log"
    tailer = Tailer(tmp_path / "cursors.json", {}, outbox, clock, 1.0, [])  # type: ignore[arg-type]
    tailer.set_follows([Follow((str(log),), {})])
    wrote = 0
    for turn in range(40):
        with log.open("a") as file:
            for _ in range(5):
                file.write(f"line {wrote}\n")
                wrote += 1
        while tailer.round():
            pass
        clock.advance(1.0 if turn % 2 else 0.05)
    for _ in range(5):
        clock.advance(1.0)
        tailer.round()
    tailer.close()
    assert len(outbox.times) == wrote
    assert outbox.times == sorted(outbox.times)
    # A clock that is set is followed at once.
    clock.step(-3600)
    assert abs(tailer._epoch_ns() + tailer._since_ns() - clock.now_ns()) < 1000


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
SECONDS = {"-1h": -3600, "-1d": -86400, "": 0}


@pytest.mark.skipif(FAKETIME is None, reason="needs Debian's faketime")
def test_a_real_server_whose_clock_goes_back_between_starts(tmp_path: Path) -> None:
    """Killed and started an hour earlier, then a day earlier, then now: what was acknowledged is there each time."""
    server = Server(tmp_path / "state")
    server.start()
    load = writers(server)
    load[-1].ledger_from_s = 0.0  # its entries have the server's times
    try:
        for offset in SECONDS:
            before = [one.acknowledged for one in load]
            until = time.monotonic() + 60
            while any(one.acknowledged <= count for one, count in zip(load, before, strict=True)):
                assert time.monotonic() < until, [
                    (one.name, one.acknowledged, one.unavailable[-1:]) for one in load
                ]
                time.sleep(0.05)
            end(server)
            # Not by `faketime`'s own command: it forks, and would be killed in the server's stead.
            server.environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": offset} if offset else {}
            server.start()
            with server.client() as client:
                ahead_s = client.get("/api/v1/status").json()["at_ns"] / 1e9 - time.time()
                assert abs(ahead_s - SECONDS[offset]) < 60
                for one in load:
                    one.check(client)
    finally:
        for one in load:
            one.done.set()
        for one in load:
            one.join(35)
        end(server)


def end(server: Server) -> None:
    """Kill it, and remove what libfaketime leaves of a killed process."""
    if server.process is not None:
        pid = server.process.pid
        server.kill()
        for path in Path("/dev/shm").glob(f"*faketime_*_{pid}"):
            path.unlink()
