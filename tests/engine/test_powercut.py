"""Power cuts, failing syncs and full disks, at every point, under log, spool, ledger, blobs and work; and the model itself."""

import errno
import random

import pytest

from engine.powercut import PowerCut, PowerCutFiles, every_cut, every_fault, random_faults
from weatherglass.base.errors import Unavailable
from weatherglass.engine.blobs import Blobs
from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Entry, WorkResult
from weatherglass.engine.spool import Spool
from weatherglass.engine.work import Queues

BATCHES = [
    [f"{number}.{part}".encode() * (1 + number % 3) for part in range(1 + number % 4)] for number in range(12)
]


# --- the model does its worst ----------------------------------------------------------------------------


def contents(states, path="/f"):
    return {bytes(state.read(path)) if state.exists(path) else None for state in states}


def test_unsynced_bytes_and_names_are_lost_torn_zeroed_and_reordered():
    disk = PowerCutFiles()
    file = disk.create("/f")
    file.write(b"aa")
    assert None in contents(disk.crash_states(0))
    file.sync()
    disk.sync_dir("/")
    assert contents(disk.crash_states(9)) == {b"aa"}
    file.write(b"bb")
    file.write(b"cc")
    found = contents(disk.crash_states(300))
    assert {b"aa", b"aab", b"aabb", b"aabbc", b"aabbcc", b"aa\0\0cc", b"aa\0\0"} <= found
    assert all(one is not None and one[:2] == b"aa" for one in found)


def test_a_failed_sync_is_not_mended_by_the_next():
    disk = PowerCutFiles({4: "eio"})
    file = disk.create("/f")
    disk.sync_dir("/")
    file.write(b"aa")
    file.write(b"bb")
    with pytest.raises(OSError) as failure:
        file.sync()
    assert failure.value.errno == errno.EIO
    file.write(b"cc")
    file.sync()
    assert disk.read("/f") == b"aabbcc"
    assert b"\0\0\0\0cc" in contents(disk.crash_states(50))


def test_names_of_two_folders_are_lost_apart():
    disk = PowerCutFiles()
    for folder in ("/a", "/b"):
        disk.mkdir(folder)
    disk.create("/a/f")
    disk.sync_dir("/a")
    disk.rename("/a/f", "/b/f")
    found = {(state.exists("/a/f"), state.exists("/b/f")) for state in disk.crash_states(60)}
    assert found == {(True, False), (False, True), (True, True), (False, False)}
    disk.sync_dir("/b")
    assert all(state.exists("/b/f") for state in disk.crash_states(60))


def test_every_cut_finds_a_store_that_forgets_to_sync():
    def run(files, acked):
        file = files.open_append("/f")
        for byte in b"abc":
            file.write(bytes((byte,)))
            acked.append(byte)

    def check(files, acked):
        assert list(files.read("/f"))[: len(acked)] == acked

    with pytest.raises((AssertionError, FileNotFoundError)) as failure:
        every_cut(run, check)
    assert "power cut at point" in failure.value.__notes__[0]


def test_a_full_disk_and_a_dead_machine():
    disk = PowerCutFiles({3: "cut"}, space=10)
    file = disk.create("/f")
    file.write(b"12345678")
    with pytest.raises(OSError, match="No space"):
        file.write(b"1234")
    with pytest.raises(PowerCut):
        file.write(b"1")
    with pytest.raises(PowerCut):
        disk.read("/f")


# --- what stands on it -----------------------------------------------------------------------------------


def log_run(files, acked, batches=BATCHES):
    log = Log("/log", files=files, segment_bytes=150)
    for number, batch in enumerate(batches):
        try:
            last = log.append(batch)
        except Unavailable:
            continue
        acked.append((last - len(batch) + 1, batch))
        if number % 5 == 4:
            try:
                log.trim(last - 6)
            except Unavailable:
                continue


def log_check(files, acked):
    log = Log("/log", files=files, segment_bytes=150)
    there = dict(log.replay())
    assert sorted(there) == list(range(log.first, log.next))
    for first, batch in acked:
        for offset, record in enumerate(batch, first):
            assert offset < log.first or there[offset] == record
    if acked:
        assert log.first <= acked[-1][0], "what is newest is never trimmed"
    # Nothing but what was asked for: behind the last that was acknowledged at most one batch that was not, whole.
    behind = [there[offset] for offset in range(acked[-1][0] + len(acked[-1][1]) if acked else 0, log.next)]
    behind = [record for record in behind if record != b"after"]  # an earlier check's own
    assert not behind or behind in BATCHES
    added = log.append([b"after"])
    assert list(log.replay(added)) == [(added, b"after")]


def test_log_power_cut_anywhere():
    assert every_cut(log_run, log_check) > 500


def test_log_faults_anywhere():
    assert every_fault(log_run, log_check) > 500


def test_log_goes_on_when_the_disk_has_room_again():
    files = PowerCutFiles(space=600)
    log = Log("/log", files=files, segment_bytes=200)
    written = 0
    with pytest.raises(Unavailable, match="No space left"):
        while True:
            written = log.append([b"x" * 50]) + 1
    with pytest.raises(Unavailable, match="No space left"):
        log.append([b"x" * 50])
    assert len(list(log.replay())) == written == log.next
    files.space = None
    assert log.append([b"y"]) == written
    for state in files.crash_states(20):
        assert len(list(Log("/log", files=state).replay())) == written + 1


def test_log_cut_at_every_point_after_a_failure_hides_what_failed():
    """An append that raised, then one that was acknowledged: the first never comes back."""
    for fault in range(2, 30):
        files = PowerCutFiles({fault: "eio"})
        try:
            log = Log("/log", files=files, segment_bytes=100)
        except Unavailable:
            continue
        acked = []
        for number in range(6):
            try:
                log.append([b"%d" % number])
                acked.append(b"%d" % number)
            except Unavailable:
                continue
        if acked[-1] != b"5":
            continue  # the last one failed, and nothing acknowledged came after it: it may be there
        for state in files.crash_states(20, seed=fault):
            assert [record for _, record in Log("/log", files=state).replay()] == acked


def test_what_a_killed_process_had_not_synced_is_durable_once_it_was_shown():
    disk = PowerCutFiles({10: "cut"})
    with pytest.raises(PowerCut):
        log = Log("/log", files=disk)
        log.append([b"1"])
        log.append([b"2"])
    assert [operation for operation, _ in disk.trace[-2:]] == ["write", "sync"]
    alive = disk.killed()
    shown = list(Log("/log", files=alive).replay())
    assert len(shown) == 2
    for state in alive.crash_states(20):
        assert list(Log("/log", files=state).replay()) == shown


ITEMS = [(f"kind{number % 2}", f"body {number} ".encode() * 9) for number in range(14)]


def spool_run(files, acked):
    spool = Spool("/spool", 1 << 20, files)
    for number, (kind, body) in enumerate(ITEMS):
        try:
            acked.append(("put", spool.put(kind, body), kind, body))
            if number % 4 == 3:
                batch = spool.take(300)
                acked.append(("asked", batch[-1][0]))
                spool.done(batch[-1][0])
                acked.append(("done", batch[-1][0]))
        except Unavailable:
            continue


def spool_check(files, acked):
    spool = Spool("/spool", 1 << 20, files)
    waiting = spool.take(1 << 20)
    offsets = [offset for offset, _, _ in waiting]
    done = max((one[1] for one in acked if one[0] == "done"), default=-1)
    asked = {
        one[1] for one in acked if one[0] == "asked"
    }  # may have been noted, though it was not acknowledged
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets))) if offsets else True
    put = {one[1]: (one[2], one[3]) for one in acked if one[0] == "put"}
    assert {offset for offset in put if offset > max(done, *asked, -1)} <= set(offsets)
    assert not offsets or offsets[0] in {one + 1 for one in {done, *asked} if one >= done}
    assert all(
        (kind, body) in [*ITEMS, ("later", b"x")] and put.get(offset, (kind, body)) == (kind, body)
        for offset, kind, body in waiting
    )
    assert spool.dropped == 0
    added = spool.put("later", b"x")
    assert spool.take(1 << 20)[-1] == (added, "later", b"x")


def test_spool_power_cut_and_faults_anywhere():
    assert every_cut(spool_run, spool_check) > 500
    assert every_fault(spool_run, spool_check) > 300


def small_spool_run(files, acked):
    spool = Spool("/spool", 12_000, files)  # segments of 4 KiB: the oldest are dropped
    for number in range(16):
        acked.append(spool.put("k", random.Random(number).randbytes(1500)))
    assert spool.dropped >= 6
    spool.done(spool.take(1)[0][0])


def small_spool_check(files, acked):
    spool = Spool("/spool", 12_000, files)
    offsets = [offset for offset, _, _ in spool.take(1 << 20)]
    assert spool.size_bytes <= 12_000 + 1600
    assert not acked or offsets[-1] >= acked[-1]
    # Every record is either waiting, or handed over (at most one was), or counted as dropped.
    assert len(offsets) + spool.dropped in (len(acked), len(acked) + 1, len(acked) - 1)


def test_a_spool_that_drops_counts_right_after_a_power_cut():
    every_cut(small_spool_run, small_spool_check, samples=3)


def ledger_run(files, acked):
    ledger = FileLedger("/ledger", files=files)
    for number in range(10):
        try:
            ledger.append(Entry(number, "ada", "plan", f"host/h{number % 2}"))
            acked.append(number)
        except Unavailable:
            continue


def ledger_check(files, acked):
    ledger = FileLedger("/ledger", files=files)
    found = [entry.at_ns for entry in reversed(ledger.read())]
    assert found[: len(acked)] == acked
    assert len(found) <= len(acked) + 1
    assert [one.at_ns for one in ledger.read(entity="host/h1")] == [one for one in reversed(found) if one % 2]


def test_ledger_power_cut_and_faults_anywhere():
    every_cut(ledger_run, ledger_check)
    every_fault(ledger_run, ledger_check)


def blobs_run(files, acked):
    blobs = Blobs("/blobs", files=files)
    for number in range(6):
        key = f"a/{number % 3}"
        try:
            acked.append((key, "asked", number))
            if number == 4:
                blobs.delete(key)
                acked.append((key, "stands", None))
            else:
                blobs.put(key, b"%d" % number * 40)
                acked.append((key, "stands", number))
        except Unavailable:
            continue


def blobs_check(files, acked):
    blobs = Blobs("/blobs", files=files)
    blobs.sweep()
    assert not [name for name in files.listdir("/blobs") if name != "a"]
    for key in ("a/0", "a/1", "a/2"):
        told = [(what, number) for name, what, number in acked if name == key]
        stands = max((index for index, (what, _) in enumerate(told) if what == "stands"), default=-1)
        may = {told[stands][1] if stands >= 0 else None}
        may |= {None if number == 4 else number for _, number in told[stands + 1 :]}
        found = blobs.get(key) if blobs.exists(key) else None
        assert found in {None if number is None else b"%d" % number * 40 for number in may}


def test_blobs_power_cut_and_faults_anywhere():
    every_cut(blobs_run, blobs_check)
    every_fault(blobs_run, blobs_check)


def work_run(files, acked):
    queues = Queues("/work", files=files)
    for number in range(6):
        try:
            item = queues.send("h", "x", {"n": number})
            acked.append(("sent", item, number))
            if number % 2:
                queues.result("h", WorkResult(item.offset, item.key, "done", {"n": number}))
                acked.append(("done", item, number))
        except Unavailable:
            continue


def work_check(files, acked):
    queues = Queues("/work", files=files)
    todo = list(queues.stream("h", 0, 0))
    finished = {item.key for what, item, _ in acked if what == "done"}
    for _, item, number in acked:
        if item.key in finished:
            assert queues.wait("h", item, 0).body == {"n": number}
            assert item not in todo
        elif item not in todo:  # its result was asked for, and may have got there
            assert number % 2 and queues.wait("h", item, 0).body == {"n": number}
    assert len({item.key for item in todo} - {item.key for _, item, _ in acked}) <= 1


def test_work_power_cut_and_faults_anywhere():
    every_cut(work_run, work_check)
    every_fault(work_run, work_check)


@pytest.mark.parametrize("store", ["log", "spool", "ledger", "blobs", "work"])
def test_many_faults_at_once(store):
    assert random_faults(globals()[f"{store}_run"], globals()[f"{store}_check"]) == 60 * 7


def test_an_unlink_that_may_come_back_stops_further_trims():
    """A trim whose folder could not be synced, another trim, the power cut: no gap may be left in the log."""

    def run(files, acked):
        log = Log("/log", files=files, segment_bytes=1, name="t")
        for number in range(8):
            try:
                log.append([b"%d" % number])
                acked.append(number)
                log.trim(number - 2)
            except Unavailable:
                continue

    def check(files, acked):
        log = Log("/log", files=files, segment_bytes=1, name="t")
        found = [int(record) for _, record in log.replay(log.first)]
        kept = [number for number in acked if number >= (found[0] if found else 0)]
        assert found[: len(kept)] == kept or set(kept) <= set(found)
        assert not acked or acked[-1] in found

    assert every_fault(run, check) > 50
