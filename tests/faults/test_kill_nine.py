"""kill -9 at random moments under load: what was acknowledged is there, nothing else, in order; never two writers.

The agent's own side, with a sink that cuts connections, is in tests/agent/test_durability.py; here its peer is the
real server, which is killed too.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.load import TokenWriter, Writer, writers
from faults.served import Server, free_port
from weatherglass.engine.protocols import RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Logs
from weatherglass.logs.catalogue import ROOM as LOGS
from weatherglass.logs.store import Settings


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "state")
    yield one
    one.kill()


def kill_under_load(server: Server, rounds: int, seed: int) -> dict[str, float]:
    """`rounds` kills; every writer is checked after each. What was acknowledged in all, and the starts' seconds."""
    chance = random.Random(seed)
    starts = [server.start()]
    load = writers(server)
    amid_start = 0
    try:
        for number in range(rounds):
            for one in load:
                one.round = number
            if number % 5 == 4:  # amid a start, too: recovery is interrupted, and begun again
                server.kill()
                server.begin()
                time.sleep(chance.uniform(0.2, max(starts)))
                amid_start += 1
            else:
                time.sleep(chance.uniform(0.1, 1.5))
            server.kill()
            for one in load:
                one.goes_on.clear()
            starts.append(server.start())
            with server.client() as client:
                for one in load:
                    _settled(one)
                    one.check(client)
            for one in load:
                one.goes_on.set()
    finally:
        for one in load:
            one.done.set()
        for one in load:
            one.join(30)
    with server.client() as client:
        for one in load:
            one.check(client, whole=True)
    assert "Traceback" not in server.log.read_text(), server.log.read_text()[-3000:]
    return {
        "kills": rounds,
        "amid a start": amid_start,
        **{one.name: len(one.made) if isinstance(one, TokenWriter) else one.acknowledged for one in load},
        "slowest start s": round(max(starts), 2),
    }


def _settled(writer: Writer) -> None:
    """Its last request has failed or been answered: a writer that still waits may be acknowledged while it is checked."""
    until = time.monotonic() + 35
    while writer.sending and time.monotonic() < until:
        time.sleep(0.01)
    assert not writer.sending


def report(told: dict[str, float]) -> None:
    print("\n" + ", ".join(f"{name} {value}" for name, value in told.items()))


def test_killed_five_times_it_loses_invents_and_reorders_nothing(server: Server) -> None:
    told = kill_under_load(server, 5, seed=random.randrange(1 << 30))
    report(told)
    assert all(told[name] > 0 for name in ("samples0", "samples1", "events0", "events1", "ledger0"))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_a_hundred_times(server: Server) -> None:
    report(kill_under_load(server, 100, seed=random.randrange(1 << 30)))


def ended(process: subprocess.Popen[str], timeout_s: float = 60) -> tuple[int, str]:
    """Exit code and what it said on stderr."""
    _, said = process.communicate(timeout=timeout_s)
    return process.returncode, said


def test_a_second_server_on_one_state_is_refused(server: Server) -> None:
    server.start()
    pid = server.pid
    for port in (free_port(), server.port):
        code, said = ended(server.spawn(port, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        assert code == 4
        assert f"another server runs on this state (pid {pid}, {server.url})" in said
        assert "Traceback" not in said
    assert server.pid == pid
    assert server.ready()
    assert server.stop() < 10


def test_of_many_started_at_once_one_serves(server: Server) -> None:
    """On a fresh state, on one that was shut well, and on one whose holder was killed."""
    for ending in ("stop", "kill", "kill"):
        crowd = [
            server.spawn(free_port(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)
        ]
        try:
            until = time.monotonic() + 90
            while sum(one.poll() is None for one in crowd) > 1 and time.monotonic() < until:
                time.sleep(0.05)
            holders = [one for one in crowd if one.poll() is None]
            assert len(holders) == 1
            for one in crowd:
                if one is not holders[0]:
                    code, said = ended(one)
                    assert (code, "another server runs on this state" in said) == (4, True), said
            _answers(server, holders[0].pid)
        finally:
            for one in crowd:
                one.terminate() if ending == "stop" else one.kill()
                ended(one)


def _answers(server: Server, pid: int) -> None:
    """The holder has told where it is, and answers there."""
    import httpx

    from weatherglass.house.hold import server_of

    until = time.monotonic() + 90
    while not ((told := server_of(server.state)) and told["pid"] == pid):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert httpx.get(f"{told['url']}/-/ready", timeout=30).status_code == 200


def test_events_sealed_before_their_answer_was_heard_are_stored_once(tmp_path: Path) -> None:
    """Written, not answered, killed; sealed at the next start, killed; repeated. A hundred kills had found it."""
    tables = Tables(tmp_path / "tables.db")
    tables.migrate(LOGS)
    writes = [
        [RawEvent(1000 + n, (("host", "h"),), f"number {n} {part}") for part in range(3)] for n in range(50)
    ]
    for opening in range(4):
        logs = Logs(tmp_path / "logs", tables=tables, settings=Settings(segment_bytes=2000))
        for one in writes[-8:] if opening else writes:
            assert logs.write_raw("site", one) == 3
        if opening == 1:
            logs.write_raw("other", [RawEvent(1, (), "of another tenant")])
        logs.seal("site")
        logs.stop()
    logs = Logs(tmp_path / "logs", tables=tables)
    found = [event.message for event in logs.search("site", start_ns=0, end_ns=1 << 62, limit=10_000).events]
    assert found == [event.text for one in reversed(writes) for event in reversed(one)]
    assert logs.stats()["log_bytes"] < 20_000
    logs.stop()
    tables.close()
