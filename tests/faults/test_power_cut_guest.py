"""Power cuts for real: a guest writes over dm-log-writes, its log is played back to every flush, every state is opened.

The power-cut model of tests/engine covers more states of fewer layers; here ext4, the block layer and SQLite are the
real ones.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from faults import guest, guest_load
from faults.log_writes import DISCARD, FLUSH, FUA, MARK, Entry, Player, entries

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.root,
    pytest.mark.skipif(bool(guest.missing()), reason=guest.missing()),
]

COUNT = int(os.environ.get("WEATHERGLASS_POWER_CUT_COUNT", "120"))
"""How often each writer writes."""
DISK, LOG = 64 << 20, 4 << 30
TORN = 4
"""Besides each flush as it is: at every so manieth one, with a random part of what came after it."""


def empty(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """(the log of writes, the disk as it was before them), made by one run of a guest."""
    folder = tmp_path_factory.mktemp("guest")
    disk, log = empty(folder / "disk.img", DISK), empty(folder / "log.img", LOG)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-J", "size=4", disk], check=True)
    before = folder / "before.img"
    shutil.copy(disk, before)
    tests = Path(__file__).parents[1]
    source = Path(guest.weatherglass.__file__).parents[1]
    script = f"""set -e
dmsetup create logged --noudevsync --noudevrules --table "0 {DISK // 512} log-writes /dev/vda /dev/vdb"
dmsetup mknodes
mount -t ext4 /dev/mapper/logged /mnt
PYTHONPATH={source}:{tests} {sys.executable} {tests}/faults/guest_load.py /mnt logged {COUNT}
umount /mnt
dmsetup remove --noudevsync --noudevrules logged
blockdev --flushbufs /dev/vdb
"""
    began = time.monotonic()
    guest.run(folder, script, [disk, log], timeout_s=1800)
    print(f"\nguest {time.monotonic() - began:.0f} s")
    yield log, before
    log.unlink()


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "ext4", "-o", "loop", image, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


class Replay:
    """The disk as it grows, and what is checked of copies of it."""

    def __init__(self, log: Path, before: Path, folder: Path) -> None:
        self.folder, self.log, self.image = folder, log, folder / "now.img"
        shutil.copy(before, self.image)
        self.player = Player(log, self.image)
        self.marks: list[tuple[str, ...]] = []
        self.seen: Counter[str] = Counter()

    def check(self, more: Sequence[Entry] = ()) -> None:
        """Power off now, with `more` of what was not flushed on the disk as well."""
        cut = self.folder / "cut.img"
        subprocess.run(["cp", "--sparse=always", self.image, cut], check=True)
        if more:
            player = Player(self.log, cut)
            for entry in more:
                player.play(entry)
            player.close()
        with mounted(cut, self.folder / "mnt") as folder:
            found = guest_load.check(folder, self.marks)
        self.seen["torn" if more else "flushes"] += 1
        self.found = found


def test_every_flush_of_a_real_disk_has_what_was_acknowledged(
    logged: tuple[Path, Path], tmp_path: Path
) -> None:
    log, before = logged
    # On memory where there is some: every state is a copy of the disk.
    folder = Path("/dev/shm") / f"weatherglass-{os.getpid()}"
    folder.mkdir()
    chance, began = random.Random(7), time.monotonic()
    try:
        replay, since, marks_before = Replay(log, before, folder), list[Entry](), list[tuple[str, ...]]()
        for entry in entries(log):
            if entry.flags & MARK:
                replay.marks.append(tuple(entry.mark.split(":")))
                continue
            since.append(entry)
            if not entry.flags & (FLUSH | FUA):
                continue
            loose = [one for one in since if one.size and not one.flags & DISCARD]
            if entry.flags & FLUSH and len(loose) > 1 and replay.seen["points"] % TORN == 0:
                kept = [one for one in loose if chance.random() < 0.5]
                held, replay.marks = replay.marks, marks_before
                replay.check(kept or loose[:1])
                replay.marks = held
            for one in since:
                replay.player.play(one)
            replay.seen["points"] += 1
            replay.seen["writes"] += len(loose)
            since.clear()
            marks_before = list(replay.marks)
            if loose or entry.size:
                replay.check()
        replay.check()
        assert replay.marks[-2:] == [("all", "done", str(COUNT)), ("dm-log-writes-end",)]
        acked = Counter(mark[0] for mark in replay.marks if mark[1:2] == ("ack",))
        print(f"{dict(replay.seen)}, acknowledged {dict(acked)}, in {time.monotonic() - began:.0f} s")
        print(f"found at the end {replay.found}")
        assert set(acked) == set(guest_load.SCENARIOS)
        assert replay.seen["flushes"] > COUNT
    finally:
        shutil.rmtree(folder)
