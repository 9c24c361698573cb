"""Tailing real files: rotation in its ways, truncation, half lines, odd bytes, and a stop at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.agent.tail import Follow, Tailer
from weatherglass.agent.tail.source import readable
from weatherglass.agent.tail.unwrap import Unwrap, byte_length
from weatherglass.base.errors import Unavailable
from weatherglass.base.time import ManualClock


class FakeOutbox:
    """A fake of the outbox: keeps what is put, in memory; may refuse."""

    def __init__(self) -> None:
        self.batches: list[tuple[bytes, bytes]] = []
        self.crowded = False
        self.full = False

    def put(self, kind: str, body: bytes, note: bytes = b"") -> int:
        assert kind == "events"
        if self.full:
            raise Unavailable("no space left")
        self.batches.append((note, body))
        return len(self.batches) - 1

    @property
    def events(self) -> list[tuple[int, dict[str, str], str]]:
        rows = []
        for _, body in self.batches:
            text = zstandard.ZstdDecompressor().decompress(body, max_output_size=1 << 28)
            rows += [tuple(json.loads(line)) for line in text.splitlines()]
        return rows

    def texts(self, source: str = "") -> list[str]:
        return [text for _, labels, text in self.events if labels["source"].endswith(source)]


class Bench:
    """A tailer with its clock, its outbox and a folder; `again` is a restart."""

    def __init__(self, folder, globs=("*.log",), kind="plain", wrapped=False) -> None:
        self.folder, self.clock, self.outbox = folder, ManualClock(), FakeOutbox()
        self.follow = Follow(tuple(f"{folder}/{g}" for g in globs), {"service": "s"}, kind, wrapped)
        self.state = folder / "cursors.json"
        self.tailer = self._make()

    def _make(self) -> Tailer:
        spooled = Tailer.spooled(self.state)
        notes = [(at, note) for at, (note, _) in enumerate(self.outbox.batches) if at > spooled]
        tailer = Tailer(self.state, {"host": "h"}, self.outbox, self.clock, 1.0, notes)
        tailer.set_follows([self.follow])
        return tailer

    def again(self) -> None:
        """As after a kill: nothing is closed properly, nothing in memory survives."""
        self.tailer.close()
        self.tailer = self._make()

    def rounds(self, seconds: float = 5.0) -> None:
        for _ in range(int(seconds)):
            while self.tailer.round():
                pass
            self.clock.advance(1.0)


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.tailer.close()


def lines(start, end, tag="line"):
    return [f"{tag} {n}\n" for n in range(start, end)]


def write(path, texts, mode="a"):
    with path.open(mode) as file:
        file.writelines(texts)


def test_lines_come_once_in_order_with_labels(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, lines(0, 3))
    bench.rounds()
    write(log, lines(3, 6))
    bench.rounds()
    assert bench.outbox.texts() == lines(0, 6)
    assert bench.outbox.events[0][1] == {"host": "h", "service": "s", "source": str(log)}


def test_a_half_line_waits_for_its_other_half(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, ["one\ntw"])
    bench.rounds(3)
    assert "tw" not in "".join(bench.outbox.texts())
    write(log, ["o\n"])
    bench.rounds(3)
    assert bench.outbox.texts() == ["one\n", "two\n"]


def test_rename_and_create_loses_nothing_written_late_to_the_old_file(bench, tmp_path):
    log, old = tmp_path / "a.log", tmp_path / "a.log.1"
    write(log, lines(0, 5))
    bench.rounds(2)
    late = log.open("a")
    write(log, lines(5, 8))
    log.rename(old)
    write(log, lines(100, 103))
    bench.rounds(2)
    late.writelines(lines(8, 10))
    late.close()
    bench.rounds(10)
    write(log, lines(103, 105))
    bench.rounds(10)
    texts = bench.outbox.texts()
    assert sorted(texts) == sorted(lines(0, 10) + lines(100, 105))
    assert [t for t in texts if t in lines(0, 10)] == lines(0, 10)
    assert [t for t in texts if t in lines(100, 105)] == lines(100, 105)
    assert {labels["source"] for _, labels, _ in bench.outbox.events} == {str(log)}


def test_two_rotations_between_two_looks(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, lines(0, 3))
    bench.rounds(3)
    log.rename(tmp_path / "a.log.1")
    write(log, lines(3, 6))
    os.utime(tmp_path / "a.log.1", ns=(1, log.stat().st_mtime_ns - 10_000_000))
    (tmp_path / "a.log.1").rename(tmp_path / "a.log.2")
    log.rename(tmp_path / "a.log.1")
    write(log, lines(6, 9))
    bench.rounds(12)
    assert bench.outbox.texts() == lines(0, 9)


def test_rotations_while_the_agent_was_away(bench, tmp_path):
    log = tmp_path / "a.log"
    write(tmp_path / "a.log.3", ["ancient history\n"])
    os.utime(tmp_path / "a.log.3", (1, 1))
    write(log, lines(0, 3))
    bench.rounds(3)
    bench.tailer.close()
    write(log, lines(3, 5))
    log.rename(tmp_path / "a.log.1")
    write(log, lines(5, 9))
    bench.again()
    bench.rounds(12)
    assert bench.outbox.texts() == lines(0, 9)


def test_many_rotations_while_away_are_read_in_one_round(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, lines(0, 3))
    bench.rounds(3)
    bench.tailer.close()
    for n in range(1, 11):
        log.rename(tmp_path / f"a.log.{n}")
        write(log, lines(3 * n, 3 * n + 3))
        os.utime(log, ns=(1, (tmp_path / f"a.log.{n}").stat().st_mtime_ns + 1_000_000))
    bench.again()
    while bench.tailer.round():
        pass
    assert bench.outbox.texts()[:30] == lines(0, 30)
    bench.rounds(3)
    assert bench.outbox.texts() == lines(0, 33)


def test_renamed_after_it_was_opened_and_before_a_batch_told_of_it(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, lines(0, 3))
    bench.outbox.full = True
    bench.tailer.round()
    log.rename(tmp_path / "a-odd-name.1")
    write(log, lines(3, 6))
    bench.outbox.full = False
    bench.again()
    bench.rounds(12)
    assert bench.outbox.texts() == lines(0, 6)


def test_several_opened_generations_are_read_on_after_a_kill(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, lines(0, 3))
    bench.rounds(1)
    for n in (1, 2, 3):
        write(log, [f"line {3 * n}", "\n"])
        log.rename(tmp_path / f"a.log.{n}")
        os.utime(tmp_path / f"a.log.{n}")
        write(log, lines(3 * n + 1, 3 * n + 3))
    bench.outbox.full = True
    bench.tailer.round()
    bench.outbox.full = False
    bench.again()
    bench.rounds(12)
    assert bench.outbox.texts() == lines(0, 12)
    bench.again()
    bench.rounds(12)
    assert bench.outbox.texts() == lines(0, 12)


def test_unread_generations_are_remembered_while_their_path_is_gone(bench, tmp_path):
    log = tmp_path / "a.log"
    for n in range(7):
        path = log if n == 6 else tmp_path / f"a.log.{6 - n}"
        write(path, lines(n, n + 1))
        os.utime(path)
    bench.outbox.full = True
    bench.tailer.round()
    bench.outbox.full = False
    log.rename(tmp_path / "a.log.0")
    bench.again()
    bench.rounds(4)
    assert bench.outbox.texts() == []
    write(log, lines(7, 8))
    bench.rounds(12)
    assert bench.outbox.texts() == lines(0, 8)


def test_a_path_met_first_after_rotations_is_read_from_the_last_hour_on(bench, tmp_path):
    log = tmp_path / "a.log"
    for n, age_s in ((4, 7200), (3, 1800), (2, 60), (1, 1)):
        write(tmp_path / f"a.log.{n}", lines(10 * n, 10 * n + 2))
        os.utime(tmp_path / f"a.log.{n}", (time.time() - age_s,) * 2)
    write(tmp_path / "a.log.wf", ["of another writer\n"])
    write(log, lines(0, 2))
    bench.rounds(12)
    assert bench.outbox.texts() == [*lines(30, 32), *lines(20, 22), *lines(10, 12), *lines(0, 2)]
    assert bench.tailer.lost_files == 0


def test_nothing_is_read_before_it_is_registered(bench, tmp_path, monkeypatch):
    write(tmp_path / "a.log", lines(0, 3))
    with monkeypatch.context() as disk:
        disk.setattr("weatherglass.agent.tail.tailer.write_json", Mock(side_effect=OSError("no space left")))
        bench.rounds(4)
        assert bench.outbox.batches == []
    bench.rounds(4)
    assert bench.outbox.texts() == lines(0, 3)


def test_a_copy_is_never_taken_for_a_generation(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, lines(0, 3))
    bench.rounds(3)
    shutil.copy(log, tmp_path / "a.log.1")
    os.truncate(log, 0)
    bench.again()
    write(log, lines(3, 6))
    bench.rounds(12)
    assert bench.outbox.texts() == lines(0, 6)


def test_copytruncate(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, lines(0, 50))
    bench.rounds(3)
    shutil.copy(log, tmp_path / "a.log.1")
    os.truncate(log, 0)
    write(log, lines(50, 53))
    bench.rounds(3)
    assert bench.outbox.texts() == lines(0, 53)


def test_truncated_and_grown_past_the_old_end_between_two_looks(bench, tmp_path):
    log = tmp_path / "a.log"
    write(log, lines(0, 3))
    bench.rounds(3)
    os.truncate(log, 0)
    write(log, lines(100, 140, "after"))
    bench.rounds(3)
    assert bench.outbox.texts() == lines(0, 3) + lines(100, 140, "after")


def test_a_pattern_that_matches_rotated_files_reads_none_twice(tmp_path):
    bench = Bench(tmp_path, globs=("a.log*",))
    log = tmp_path / "a.log"
    write(log, lines(0, 3))
    bench.rounds(3)
    log.rename(tmp_path / "a.log.1")
    write(log, lines(3, 6))
    bench.rounds(12)
    bench.again()
    bench.rounds(12)
    assert bench.outbox.texts() == lines(0, 6)
    bench.tailer.close()


def test_packed_files_and_folders_are_passed_over(bench, tmp_path):
    (tmp_path / "b.log").mkdir()
    (tmp_path / "c.log.gz").write_bytes(b"\x1f\x8b")
    os.mkfifo(tmp_path / "d.log")
    bench.rounds(3)
    assert bench.outbox.texts() == []


def test_a_traceback_is_one_event_and_is_not_cut_by_a_restart(tmp_path):
    bench = Bench(tmp_path, kind="oslo")
    stamp = "2026-11-22 10:00:00.000 7 ERROR keystone.x"
    first = [f"{stamp} [-] broke\n", f"{stamp} Traceback (most recent call last):\n"]
    rest = [f'{stamp}   File "x", line 1, in f\n', f"{stamp} ValueError: no\n", f"{stamp} \n"]
    write(tmp_path / "k.log", first)
    while bench.tailer.round():
        pass
    bench.again()
    write(tmp_path / "k.log", rest)
    bench.rounds(4)
    assert bench.outbox.texts() == ["".join(first + rest)]
    bench.tailer.close()


def test_bytes_that_are_no_utf8_stay_readable(bench, tmp_path):
    (tmp_path / "a.log").write_bytes("größe ☂ ".encode() + b"\xff\xfe raw\n" + b"\xe2\x98")
    bench.rounds(3)
    with (tmp_path / "a.log").open("ab") as file:
        file.write(b"\x82 joined\n")
    bench.rounds(3)
    assert bench.outbox.texts() == ["größe ☂ \\xff\\xfe raw\n", "☂ joined\n"]


@given(st.binary(max_size=200))
def test_any_bytes_become_text_that_any_store_takes(data):
    text = readable(data.decode("utf-8", "surrogateescape"))
    assert text.encode() is not None
    if b"\\" not in data:
        try:
            assert data.decode() == text
        except UnicodeDecodeError:
            assert "\\x" in text


def test_while_the_disk_is_full_nothing_is_lost(bench, tmp_path):
    write(tmp_path / "a.log", lines(0, 3))
    bench.outbox.full = True
    bench.rounds(3)
    write(tmp_path / "a.log", lines(3, 6))
    bench.rounds(3)
    assert bench.outbox.texts() == []
    bench.outbox.full = False
    bench.rounds(5)
    assert bench.outbox.texts() == lines(0, 6)


def test_a_crowded_spool_leaves_the_lines_in_their_files(bench, tmp_path):
    write(tmp_path / "a.log", lines(0, 3))
    bench.outbox.crowded = True
    bench.rounds(4)
    assert bench.outbox.batches == []
    bench.outbox.crowded = False
    bench.rounds(4)
    assert bench.outbox.texts() == lines(0, 3)


def test_killed_between_spool_and_cursor_file_reads_nothing_twice(bench, tmp_path):
    write(tmp_path / "a.log", lines(0, 3))
    bench.rounds(3)
    before = bench.state.read_bytes()
    write(tmp_path / "a.log", lines(3, 6))
    bench.rounds(3)
    bench.state.write_bytes(before)  # the cursor file as it was: the kill came before its rename
    bench.again()
    write(tmp_path / "a.log", lines(6, 9))
    bench.rounds(3)
    assert bench.outbox.texts() == lines(0, 9)


def test_big_files_come_in_bounded_batches(bench, tmp_path):
    many = lines(0, 40_000, "a line that is a little longer than the others were, number")
    write(tmp_path / "a.log", many)
    bench.rounds(3)
    assert bench.outbox.texts() == many
    assert len(bench.outbox.batches) > 3
    assert max(len(zstandard.ZstdDecompressor().decompress(b)) for _, b in bench.outbox.batches) < 4 << 20


def test_what_no_pattern_names_any_more_is_let_go_and_taken_up_where_it_was(bench, tmp_path):
    write(tmp_path / "a.log", lines(0, 3))
    bench.rounds(3)
    bench.tailer.set_follows([])
    bench.rounds(2)
    write(tmp_path / "a.log", lines(3, 6))
    bench.rounds(2)
    assert bench.outbox.texts() == lines(0, 3)
    assert bench.tailer._chains == {}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_any_mix_of_writing_rotating_and_restarting(quick_root, seed):
    """Seen or not before the next one comes, read or not before the agent is killed."""
    chance, folder = random.Random(seed), Path(tempfile.mkdtemp(dir=quick_root))
    bench, log, number, generation = Bench(folder), folder / "a.log", 0, 0
    log.touch()
    for _ in range(chance.randint(3, 25)):
        act = chance.choice(["write", "write", "half", "rotate", "restart", "look", "wait", "begin"])
        if act in ("write", "half"):
            more = chance.randint(1, 4)
            text = "".join(lines(number, number + more))
            cut = chance.randint(1, len(text)) if act == "half" else 0
            with log.open("a") as file:
                if cut:
                    file.write(text[:cut])
                    file.flush()
                    bench.tailer.round()
                file.write(text[cut:])
            number += more
        elif act == "rotate":
            rotated = folder / f"a.log.{(generation := generation + 1)}"
            log.rename(rotated)
            os.utime(rotated)  # finer than the kernel's own stamps: no two rotations share one
            log.touch()
        elif act == "restart":
            bench.again()
        elif act == "begin":  # files are opened; then the kill comes before a batch
            bench.outbox.full = True
            bench.tailer.round()
            bench.outbox.full = False
            bench.again()
        else:
            bench.rounds(1 if act == "look" else 7)
    bench.rounds(20)
    assert bench.outbox.texts() == lines(0, number)
    bench.tailer.close()
    shutil.rmtree(folder)


def test_podman_lines_are_unwrapped_and_survive_a_restart(tmp_path):
    bench = Bench(tmp_path, wrapped=True, kind="auto")
    stamp = "2026-11-22T10:00:00.123456789+00:00"
    log = tmp_path / "stdout.log"
    write(
        log, [f"{stamp} stdout F 2026-11-22 10:00:00.000 1 INFO a [-] one\n", f"{stamp} stderr P 2026-11-22 "]
    )
    bench.tailer.round()
    bench.again()
    write(
        log, ["10:00:01.000 1 IN\n", f"{stamp} stderr F FO a [-] two\n", f"{stamp} stdout F   more of two\n"]
    )
    bench.rounds(4)
    assert bench.outbox.texts() == [
        "2026-11-22 10:00:00.000 1 INFO a [-] one\n",
        "2026-11-22 10:00:01.000 1 INFO a [-] two\n  more of two\n",
    ]
    bench.tailer.close()


def test_a_container_line_was_seen_when_its_runtime_wrote_it(tmp_path):
    bench = Bench(tmp_path, wrapped=True, kind="auto")
    write(
        tmp_path / "stdout.log",
        [
            "2026-11-22T10:00:00.123456789Z stdout F GET / 200\n",
            "2026-11-22T11:30:00.5+01:00 stdout F GET /a 200\n",
            "2026-13-22T10:00:00Z stdout F no such month\n",
            "2096-11-22T10:00:00Z stdout F no such hurry\n",
        ],
    )
    read_at = bench.clock.now_ns()
    bench.rounds(3)
    assert [at for at, _, _ in bench.outbox.events] == [
        1_795_341_600_123_456_789,
        1_795_343_400_500_000_000,
        read_at,
        read_at,
    ]
    bench.tailer.close()


@given(st.lists(st.text(alphabet="ab\n☂F P", max_size=40)), st.integers(1, 7))
def test_unwrapping_counts_every_byte(texts, step):
    data = "".join(f"2026-11-22T10:00:00Z stdout F {t}\n" for t in texts)
    unwrap = Unwrap()
    pieces = [piece for at in range(0, len(data), step) for piece in unwrap.feed(data[at : at + step])]
    given_ = "".join(text for text, _ in pieces)
    assert {at for _, at in pieces} <= {1_795_341_600_000_000_000, None}
    assert unwrap.bytes_behind(len(given_) + 1) == byte_length(data)
    assert unwrap.feed("", final=True) == []
