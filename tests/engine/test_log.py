"""The log on real files: order, threads, decay, trimming under readers, kill -9."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Corrupt, Unavailable
from weatherglass.engine.files import RealFiles
from weatherglass.engine.log import Log
from weatherglass.engine.segments import sound_length


class CountingFiles(RealFiles):
    """Real files that count syncs, and take a millisecond over each, as a disk does."""

    def __init__(self):
        self.syncs = 0

    def create(self, path, mode=0o600):
        files, file = self, super().create(path, mode)

        class Counting:
            write, tell, truncate, close = file.write, file.tell, file.truncate, file.close

            def sync(self):
                time.sleep(0.001)
                files.syncs += 1
                file.sync()

        return Counting()


def all_of(log, start=0):
    return list(log.replay(start))


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(st.binary(max_size=80), min_size=1, max_size=4), max_size=20),
    segment_bytes=st.sampled_from([64, 300, 1 << 20]),
    start=st.integers(0, 60),
    trim=st.integers(0, 60),
)
def test_what_went_in_comes_out_also_after_reopening(tmp_path_factory, batches, segment_bytes, start, trim):
    folder = tmp_path_factory.mktemp("log")
    log = Log(folder, segment_bytes=segment_bytes)
    flat = []
    for batch in batches:
        flat += batch
        assert log.append(batch) == len(flat) - 1
    log.trim(trim)
    assert log.first <= min(trim, log.next) and log.next == len(flat)
    for _ in range(2):
        expected = list(enumerate(flat))[max(start, log.first) :]
        assert all_of(log, start) == expected
        first = log.first
        log.close()
        log = Log(folder, segment_bytes=segment_bytes)
        assert log.first == first
    log.close()


@pytest.mark.parametrize("group_bytes", [1 << 20, 60])
def test_threads_share_a_sync(tmp_path, monkeypatch, group_bytes):
    monkeypatch.setattr("weatherglass.engine.log._GROUP_BYTES", group_bytes)  # 60: two or three appends
    files = CountingFiles()
    log = Log(tmp_path, files=files)
    acked = [[] for _ in range(8)]

    def write(mine, name):
        for number in range(50):
            record = b"%d.%d" % (name, number)
            mine.append((log.append([b"other", record]), record))

    threads = [threading.Thread(target=write, args=(mine, name)) for name, mine in enumerate(acked)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = dict(log.replay())
    assert len(there) == 800
    for mine in acked:
        assert [there[offset] for offset, _ in mine] == [record for _, record in mine]
        assert mine == sorted(mine, key=lambda one: one[0])
    assert files.syncs < 250, "400 appends of 8 threads"


def test_a_record_can_be_found_from_the_middle_without_reading_all(tmp_path):
    class Reads(RealFiles):
        total = 0

        def read(self, path, offset=0, size=-1):
            found = super().read(path, offset, size)
            self.total += len(found)
            return found

    files = Reads()
    log = Log(tmp_path, files=files)
    for number in range(0, 4000, 100):
        log.append([b"%d" % (number + one) * 400 for one in range(100)])
    for reopened in (False, True):
        if reopened:
            log.close()
            log = Log(tmp_path, files=files)
        files.total = 0
        assert next(log.replay(3950)) == (3950, b"3950" * 400)
        assert files.total < 3 << 20, "of 6 MB"


def test_a_bit_flipped_anywhere_is_named_or_cut(tmp_path):
    """Before the last group every flip is Corrupt, with file and position; in the last it may look like a tear."""
    log = Log(tmp_path, segment_bytes=400)
    for number in range(12):
        log.append([b"record %d" % number] * 2)
    whole = all_of(log)
    log.close()
    chance = random.Random(1)
    last_group = 36 + 2 * (4 + 9)
    segments = sorted(tmp_path.iterdir())
    for path in (segments[0], segments[-1]):
        good = path.read_bytes()
        for position in range(len(good)):
            bad = bytearray(good)
            bad[position] ^= 1 << chance.randrange(8)
            path.write_bytes(bad)
            in_last = path == segments[-1] and position >= len(good) - last_group
            try:
                found = all_of(opened := Log(tmp_path, segment_bytes=400))
                opened.close()
                assert in_last and found == whole[:-2], position
            except Corrupt as error:
                assert not in_last and str(path) in error.where
                assert abs(int(error.where.rpartition(":")[2]) - position) < last_group
            path.write_bytes(good)
    assert all_of(Log(tmp_path, segment_bytes=400)) == whole


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_torn_tail_is_cut_and_the_place_used_again(tmp_path, cut):
    log = Log(tmp_path)
    log.append([b"one", b"two"])
    log.append([b"three" * 10])
    log.close()
    (path,) = tmp_path.iterdir()
    if cut:
        os.truncate(path, path.stat().st_size - cut)
    log = Log(tmp_path)
    assert log.next == (2 if cut else 3)
    added = log.append([b"four"])
    log.close()
    assert all_of(Log(tmp_path), added) == [(added, b"four")]


def test_a_missing_segment_is_named(tmp_path):
    log = Log(tmp_path, segment_bytes=100)
    for number in range(9):
        log.append([b"x" * 40 + b"%d" % number])
    log.close()
    first, second, *_ = sorted(tmp_path.iterdir())
    second.unlink()
    with pytest.raises(Corrupt) as failure:
        all_of(Log(tmp_path, segment_bytes=100))
    assert str(first) in failure.value.where


def test_another_format_is_refused(tmp_path):
    Log(tmp_path).close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"something else entirely")
    with pytest.raises(Corrupt, match="not the header"):
        Log(tmp_path)


@settings(max_examples=150, deadline=None)
@given(junk=st.binary(max_size=300))
def test_junk_behind_the_last_record_is_cut_or_refused(tmp_path_factory, junk):
    folder = tmp_path_factory.mktemp("log")
    log = Log(folder)
    log.append([b"mine"])
    log.close()
    (path,) = folder.iterdir()
    with path.open("ab") as file:
        file.write(junk)
    log = Log(folder)
    assert all_of(log) == [(0, b"mine")]
    assert sound_length(RealFiles(), path) == path.stat().st_size
    log.close()


def test_readers_are_not_disturbed_by_trimming_and_appending(tmp_path):
    log = Log(tmp_path, segment_bytes=2000)
    stop, wrong = threading.Event(), []

    def read():
        while not stop.is_set():
            start = log.first
            seen = [(offset, record) for offset, record in log.replay(start)]
            offsets = [offset for offset, _ in seen]
            if offsets != sorted(set(offsets)) or any(
                record != b"%d" % offset * 9 for offset, record in seen
            ):
                wrong.append(offsets)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1500):
        log.append([b"%d" % number * 9])
        if number % 50 == 0:
            log.trim(number - 100)
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong and log.first > 1000


def test_a_segment_trimmed_under_a_reader_is_passed_over(tmp_path):
    class TrimmedFiles(RealFiles):
        """Trims the log just before a segment is read."""

        armed = False

        def read(self, path, offset=0, size=-1):
            if self.armed:
                self.armed = False
                log.trim(60)
            return super().read(path, offset, size)

    files = TrimmedFiles()
    log = Log(tmp_path, files=files, segment_bytes=500)
    for number in range(90):
        log.append([b"%d" % number * 20])
    files.armed = True
    assert [offset for offset, _ in log.replay()] == list(range(log.first, 90)) and 40 < log.first <= 60


def test_a_lost_segment_is_no_trimmed_one(tmp_path):
    log = Log(tmp_path, segment_bytes=500)
    for number in range(30):
        log.append([b"%d" % number * 20])
    sorted(tmp_path.iterdir())[0].unlink()
    with pytest.raises(Corrupt, match="is gone"):
        all_of(log)


def test_waiting_for_what_comes_and_closing(tmp_path):
    log = Log(tmp_path)
    assert not log.wait_past(0, 0.01)
    threading.Timer(0.05, log.append, ([b"x"],)).start()
    assert log.wait_past(0, 5)
    threading.Timer(0.05, log.close).start()
    began = time.monotonic()
    assert not log.wait_past(1, 30) and time.monotonic() - began < 5
    with pytest.raises(Unavailable, match="closed"):
        log.append([b"y"])


def test_nothing_is_world_readable(tmp_path):
    Log(tmp_path / "a/log").append([b"secret"])
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "a").rglob("*")} | {
        (tmp_path / "a").stat().st_mode & 0o077
    }
    assert modes == {0}


def test_the_log_is_light():
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, weatherglass.engine.spool, weatherglass.engine.protocols; print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"numpy", "sqlalchemy", "pyarrow", "yaml", "alembic"} & set(said)


CHILD = """
import os, sys, threading
from weatherglass.engine.log import Log
log = Log(sys.argv[1], segment_bytes=30_000)
print("open", log.next, flush=True)
def write(name):
    number = 0
    while True:
        offset = log.append([b"%d" % name * (1 + number % 200), b"end"])
        os.write(1, b"%d %d %d\\n" % (offset, name, number))
        number += 1
        if name == 0 and number % 100 == 99:
            log.trim(offset - 500)
for name in range(3):
    threading.Thread(target=write, args=(name,)).start()
"""


def test_killed_at_random_twenty_times(tmp_path):
    chance = random.Random(7)
    acked: dict[int, bytes] = {}
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE) as child:
            opened = child.stdout.readline()
            time.sleep(chance.uniform(0, 0.08))
            child.send_signal(signal.SIGKILL)
            said = child.stdout.read().split(b"\n")[:-1]
        assert int(opened.split()[1]) > max(acked, default=-1)
        for line in said:
            offset, name, number = map(int, line.split())
            assert offset not in acked
            acked[offset - 1], acked[offset] = b"%d" % name * (1 + number % 200), b"end"
    log = Log(tmp_path, segment_bytes=30_000)
    there = dict(log.replay())
    assert len(acked) > 1000
    assert all(there[offset] == record for offset, record in acked.items() if offset >= log.first)
    assert sorted(there) == list(range(log.first, log.next))
