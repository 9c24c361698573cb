"""What was put arrives: the server away for long, the agent killed at any moment. Real processes, real disk."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from agent import agent_process
from agent.agent_sink import TOKEN, Sink, read_write_request
from weatherglass.agent.outbox import Outbox, notes_after
from weatherglass.agent.remote_write import Encoder, Sample
from weatherglass.agent.wire import Backoff, Wire
from weatherglass.base.errors import Invalid, LimitExceeded, Unauthenticated, Unavailable
from weatherglass.engine.spool import Spool


class Forsaken(threading.Thread):
    """A real agent at its real pace whose server goes for 6.5 s. It takes its time while other tests run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.sink = folder, Sink()
        self.grown = 0
        self.ended: tuple[int, str] | None = None
        self.trouble = "still under way"

    def run(self) -> None:
        with self.sink as sink:
            agent = agent_process.start(sink.url, self.folder)
            try:
                sink.wait(lambda: sink.writes, 20)
                sink.stop()
                time.sleep(1.0)
                before = self.resident(agent.pid)
                time.sleep(5.5)
                self.grown = self.resident(agent.pid) - before
                sink.start()
                beats = len(sink.heartbeats)
                sink.wait(lambda: len(sink.heartbeats) > beats, 8)
                sink.wait(lambda: len({at for _, _, at in sink.samples()}) >= 3, 15)
            except AssertionError as error:
                self.trouble = str(error)
                agent_process.end(agent)
            else:
                self.ended = agent_process.end(agent)

    @staticmethod
    def resident(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module", autouse=True)
def forsaken(tmp_path_factory):
    thread = Forsaken(tmp_path_factory.mktemp("forsaken"))
    thread.start()
    yield thread
    thread.join(60)


def outbox_for(sink, folder, limit=64 << 20):
    spool = Spool(folder, limit)
    return Outbox(spool, Wire(sink.url, TOKEN, 2.0), "spool-a", Backoff(0.01, 0.02), limit // 2), spool


ENCODER = Encoder({"host": "here"})


def round_of(n, series=100):
    """One round of samples as a small agent makes it."""
    samples = [Sample("m", (("i", str(i)),), float(n * i % 977)) for i in range(series)]
    return ENCODER.encode(samples, 1_800_000_000_000 + n * 5000)


def drain(outbox, stop_after_s=30.0):
    end = time.monotonic() + stop_after_s
    while outbox.drain():
        assert time.monotonic() < end


def test_an_hour_without_the_server(quick_folder):
    """Time is compressed: 720 rounds of samples and every fourth time events, then the server is back."""
    sink = Sink()
    sink.start()
    sink.stop()
    outbox, spool = outbox_for(sink, quick_folder / "spool")
    early = 0
    for n in range(720):
        if n == 100:
            tracemalloc.start()
            outbox.put("samples", round_of(0))
            early = tracemalloc.get_traced_memory()[0]
        outbox.put("samples", round_of(n))
        if n % 4 == 0:
            outbox.put("events", b"not looked at %d" % n, b"[]")
        if n % 60 == 0:
            with pytest.raises(Unavailable):
                outbox.drain()
        if n == 200:
            tracemalloc.reset_peak()
        if n == 300:
            late, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert late - early < 100_000, "memory grows with what waits"
    assert peak < 16 << 20
    put = []
    for n in range(720):
        put += [("/prometheus/api/v1/write", round_of(0))] if n == 100 else []
        put += [("/prometheus/api/v1/write", round_of(n))]
        put += [("/api/v1/agent/events", b"not looked at %d" % n)] if n % 4 == 0 else []
    assert len(spool) == len(put)
    # These events are no zstd: what is sent is looked at before the socket, the order is the point.
    sent: list[tuple[str, bytes]] = []
    outbox._wire.request = lambda method, path, body, headers: sent.append((path, body))  # type: ignore
    drain(outbox)
    assert sent == put
    assert len(spool) == 0
    spool.close()


def test_what_the_server_decides_against_is_dropped_what_it_cannot_take_now_waits(sink, tmp_path):
    outbox, spool = outbox_for(sink, tmp_path / "spool")
    outbox.put("samples", round_of(0))
    sink.fail = 503
    with pytest.raises(Unavailable):
        outbox.drain()
    sink.fail = 429
    with pytest.raises(LimitExceeded):
        outbox.drain()
    assert len(spool) == 1
    sink.fail = 400
    outbox.drain()
    assert (len(spool), outbox.refused) == (0, 1)
    assert "not now" in outbox.last_refusal
    sink.fail, sink.refuse = 0, 401
    outbox.put("samples", round_of(1))
    with pytest.raises(Unauthenticated):
        outbox.drain()
    sink.refuse = 0
    outbox.drain()
    assert [at for _, _, at in sink.samples()][:1] == [1_800_000_005_000]
    spool.close()


def test_a_limit_is_waited_for_but_not_for_ever(sink, tmp_path):
    outbox, spool = outbox_for(sink, tmp_path / "spool")
    outbox.limit_patience_s = 0.2
    for n in range(3):
        outbox.put("samples", round_of(n))
    sink.fail = 429
    with pytest.raises(LimitExceeded):
        outbox.drain()
    time.sleep(0.25)
    outbox.drain()
    assert (len(spool), outbox.refused) == (0, 3)
    sink.fail = 0
    outbox.put("samples", round_of(3))
    outbox.drain()
    sink.fail = 429
    outbox.put("samples", round_of(4))
    with pytest.raises(LimitExceeded):
        outbox.drain()
    assert (len(spool), outbox.sent) == (1, 1)
    spool.close()


def test_batches_are_named_and_their_notes_stay(sink, tmp_path):
    outbox, spool = outbox_for(sink, tmp_path / "spool")
    first = outbox.put("samples", round_of(0), b"a note")
    second = outbox.put("samples", round_of(1), b"another")
    outbox.drain()
    assert sink.batches == [f"spool-a:{first}", f"spool-a:{second}"]
    assert len(sink.samples()) == 200
    third = outbox.put("samples", round_of(2), b"[3]")
    outbox.put("events", b"", b"[4]")
    assert notes_after(spool, "samples", second) == [(third, b"[3]")]
    assert notes_after(spool, "samples", third) == []
    assert notes_after(spool, "events", -1) == [(third + 1, b"[4]")]
    spool.close()


def test_a_wire_finds_a_closed_connection_and_opens_another(sink):
    wire = Wire(sink.url, TOKEN, 2.0)
    wire.post("/api/v1/agent/results", {"n": 1})
    sink.stop()
    sink.start()
    wire.post("/api/v1/agent/results", {"n": 2})
    assert [r["n"] for r in sink.results] == [1, 2]
    with pytest.raises(Invalid):
        Wire("ftp://x", TOKEN)
    wire.interrupt()
    with pytest.raises(Unavailable):
        wire.post("/api/v1/agent/results", {"n": 3})
    wire.close()


def test_backoff_grows_with_jitter_to_its_bound():
    waits = [[b.next() for _ in range(12)] for b in (Backoff(), Backoff())]
    for row in waits:
        assert 0.25 <= row[0] <= 0.5
        assert all(5 <= wait <= 10 for wait in row[6:])
    assert waits[0] != waits[1]


class Writer(threading.Thread):
    """A service that logs numbered lines and rotates its log now and then."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.count, self.done = path, 0, threading.Event()

    def run(self) -> None:
        file = self.path.open("a")
        while not self.done.wait(0.004):
            # Half lines, too: written in two goes.
            text = f"2026-11-22 10:00:00.000 7 INFO writer [-] line {self.count}\n"
            cut = random.randrange(len(text)) if self.count % 7 == 0 else len(text)
            file.write(text[:cut])
            file.flush()
            file.write(text[cut:])
            file.flush()
            self.count += 1
            if self.count % 400 == 0:
                file.close()
                self.path.rename(self.path.with_name(f"{self.path.name}.{self.count // 400}"))
                file = self.path.open("a")
        file.close()


def kill_at_random(sink, folder, times):
    """Kill an agent `times` times under load, with the server away for some of it; what its log had at the end."""
    log = folder / "service.log"
    writer = Writer(log)
    sink.send("collect", {"logs": [{"globs": [str(log)], "labels": {"service": "w"}}]})
    writer.start()
    for turn in range(times):
        agent = agent_process.start(sink.url, folder)
        time.sleep(random.uniform(0.15, 0.9))
        if turn % 4 == 2:
            sink.stop()
            time.sleep(random.uniform(0.1, 0.4))
        assert agent.poll() is None, agent.communicate()
        agent_process.end(agent, signal.SIGKILL)
        sink.start() if sink._server is None else None
    writer.done.set()
    writer.join()
    agent = agent_process.start(sink.url, folder)
    try:
        sink.wait(lambda: sink.events and f"line {writer.count - 1}\n" in sink.events[-1][2], 20)
        sink.wait(lambda: len(sink.writes) > 2, 20)
    finally:
        code, said = agent_process.end(agent)
        assert (code, said) == (0, "")
    return writer.count


def check_nothing_lost(sink, count):
    numbers = [int(text.rpartition(" ")[2]) for _, _, text in sink.events]
    assert numbers == list(range(count))
    newest: dict[tuple, int] = {}
    known: dict[tuple, float] = {}
    for body in sink.writes:
        for labels, value, at in read_write_request(body):
            series = tuple(labels.items())
            assert known.setdefault((series, at), value) == value
            assert at >= newest.get(series, 0), "samples out of order"
            newest[series] = at


def test_killed_ten_times_it_loses_invents_and_reorders_nothing(sink, tmp_path):
    count = kill_at_random(sink, tmp_path, 10)
    assert count > 400
    check_nothing_lost(sink, count)


@pytest.mark.long
def test_killed_a_hundred_times(sink, tmp_path):
    check_nothing_lost(sink, kill_at_random(sink, tmp_path, 100))


def test_a_process_whose_server_is_gone_stays_flat(forsaken):
    """RSS of a real agent after its server went, and after it is back: what waits is on disk."""
    forsaken.join(60)
    assert forsaken.ended is not None, forsaken.trouble
    code, said = forsaken.ended
    assert code == 0
    assert forsaken.grown < 2 << 20
    assert "nothing is lost" in said
    assert said.endswith("the server answers again\n")
    times = [at for labels, _, at in forsaken.sink.samples() if labels["__name__"] == "node_load1"]
    assert len(times) >= 3
    assert times == sorted(times)
    assert max(b - a for a, b in itertools.pairwise(times)) < 5500, "a round is missing"
