"""Which files are followed, how rotation is followed, and how events become batches that are never lost.

A path has a chain of files, oldest first: when another file takes the name (rename and create), the old one is
read to its end and kept open until it was quiet for `QUIET_S`, since its writer may not have noticed yet. The
next file of a chain is read only when nothing is held of the one before it: order is kept.

A file is registered before anything is read of it: its cursor, at its beginning, goes into the cursor file. So
after a kill it is known for one of its path's, under whatever name it then has, though no batch told of it yet.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from weatherglass.agent.durable import read_json, write_json
from weatherglass.agent.outbox import Outbox
from weatherglass.agent.tail.cursor import Cursor, Identity, identity
from weatherglass.agent.tail.generations import HISTORY_NS, PACKED, siblings, unread
from weatherglass.agent.tail.source import Source, readable
from weatherglass.base.errors import Unavailable
from weatherglass.base.time import SECOND_NS, Clock

BATCH_BYTES = 1 << 20
BATCH_EVENTS = 5000
DISCOVER_S = 3.0
QUIET_S = 5.0
FILES_LIMIT = 512
GENERATIONS_KEPT = 4
RENAMES_SEEN_THROUGH = 5
CLOCK_SET_NS = 10_000_000


@dataclass(frozen=True)
class Follow:
    """Files to follow: shell patterns, the labels of their events, what they are said to hold (`logs.framing`).

    `wrapped`: each line has a container runtime's prefix (`unwrap`).
    """

    globs: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: str = "auto"
    wrapped: bool = False


@dataclass
class _Chain:
    """The files that had one path, oldest first."""

    path: str
    labels: dict[str, str]
    follow: Follow
    sources: list[Source] = field(default_factory=list)


@dataclass
class _Batch:
    lines: list[str] = field(default_factory=list)
    size: int = 0
    touched: dict[Identity, Cursor] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.lines) >= BATCH_EVENTS


class Tailer:
    """Follows files. `run` is its own thread's; `set_follows` may come from another."""

    def __init__(
        self,
        path: Path,
        labels: Mapping[str, str],
        outbox: Outbox,
        clock: Clock,
        period_s: float,
        notes: Iterable[tuple[int, bytes]],
    ) -> None:
        """`notes`: offset and note of the event batches that are in the spool after `Tailer.spooled(path)`, in order."""
        self._path, self._labels, self._outbox, self._clock = path, dict(labels), outbox, clock
        self._period = period_s
        self._compress = zstandard.ZstdCompressor(level=1).compress
        self._chains: dict[str, _Chain] = {}
        self._follows: tuple[Follow, ...] = ()
        self._changed = threading.Event()
        self._unput: _Batch | None = None
        self._epoch: int | None = None
        self._due = 0.0
        self._unregistered = False
        self._spooled = self.spooled(path)
        self.events = 0
        self.lost_files = 0
        kept = read_json(path)
        values = kept["cursors"] if isinstance(kept, dict) else []
        # In the order in which the files were met.
        self._cursors = {cursor.identity: cursor for cursor in map(Cursor.from_json, values)}
        for offset, note in notes:
            self._spooled = offset
            for cursor in map(Cursor.from_json, json.loads(note)):
                self._cursors[cursor.identity] = cursor

    @staticmethod
    def spooled(path: Path) -> int:
        """The offset of the last batch whose cursors the cursor file includes; -1 for none."""
        kept = read_json(path)
        return int(kept["spooled"]) if isinstance(kept, dict) else -1

    def set_follows(self, follows: Sequence[Follow]) -> None:
        """Follow these from the next round on; files that no pattern names any more are read no further."""
        self._follows = tuple(follows)
        self._changed.set()

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if not self.round():
                self._changed.wait(self._period)
        self.close()

    def wake(self) -> None:
        self._changed.set()

    def round(self) -> bool:
        """Look once at everything; whether there is more to read at once."""
        now = self._clock.monotonic()
        if self._unput is None:
            if self._changed.is_set() or now >= self._due:
                self._changed.clear()
                self._discover()
                self._due = now + DISCOVER_S
            crowded = self._outbox.crowded
            if not crowded:
                self._follow_rotations()
            if not self._register() or crowded:
                return False  # the files themselves are the better spool
            self._unput = batch = _Batch()
            more = self._fill(batch)
        else:
            more = True
        if not self._put(self._unput):
            return False
        self._unput = None
        return more

    def close(self) -> None:
        """Close the files. What is held stays before the cursors and is read again after the next start."""
        for chain in self._chains.values():
            for source in chain.sources:
                source.close()
        self._chains.clear()

    # --- reading -----------------------------------------------------------------------------------------

    def _fill(self, batch: _Batch) -> bool:
        """Read every chain in turn until the batch is full; whether something is left unread."""
        for chain in list(self._chains.values()):
            for source in list(chain.sources):
                self._take(chain, source, batch)
                while not source.at_end and not batch.full:
                    self._take(chain, source, batch)
                if source.at_end and source.held and source is not chain.sources[-1] and self._is_old(source):
                    self._add(chain, source, source.finish(self._since_ns(), self._epoch_ns()), batch)
                if not source.at_end or source.held:
                    break  # the next of the chain waits: order
                if source is not chain.sources[-1]:
                    self._retire(chain, source, batch)
            del self._chains[chain.path]
            if chain.sources:
                self._chains[chain.path] = chain  # behind the others: one that never ends starves none
            if batch.full:
                return True
        return False

    def _take(self, chain: _Chain, source: Source, batch: _Batch) -> None:
        try:
            events = source.read(self._since_ns(), self._epoch_ns())
        except OSError:
            source.at_end = True  # a failing disk or mount: looked at again in the next round
            return
        self._add(chain, source, events, batch)

    def _add(self, chain: _Chain, source: Source, events: Iterable[Any], batch: _Batch) -> None:
        count, epoch_ns = 0, self._epoch_ns()
        for event in events:
            line = json.dumps(
                [event.seen_ns + epoch_ns, chain.labels, readable(event.text)], separators=(",", ":")
            )
            batch.lines.append(line)
            batch.size += len(line)
            count += 1
        if count:
            self.events += count
            batch.touched[source.identity] = source.cursor()

    def _since_ns(self) -> int:
        # What waits, waits by a clock that is never set back.
        return int(self._clock.monotonic() * SECOND_NS)

    def _epoch_ns(self) -> int:
        """What makes an instant of ours one of the wall's. Lines of one read may be given out in two goes, and two looks
        at two clocks are never alike: only a clock that was set moves this, or the last would overtake the others."""
        before, wall = self._since_ns(), self._clock.now_ns()
        found = wall - before
        alike = self._since_ns() - before < CLOCK_SET_NS // 10  # nothing else ran in between
        if self._epoch is None or (alike and abs(found - self._epoch) > CLOCK_SET_NS):
            self._epoch = found
        return self._epoch

    def _is_old(self, source: Source) -> bool:
        # By the file's own time: generations that were missed while the agent was away need no second each.
        return self._clock.now_ns() - source.mtime_ns > SECOND_NS

    def _was_quiet(self, source: Source) -> bool:
        return (
            source.quiet_since_ns is not None
            and self._since_ns() - source.quiet_since_ns >= QUIET_S * SECOND_NS
        )

    def _retire(self, chain: _Chain, source: Source, batch: _Batch) -> None:
        """Let go of a file that lost its name, once it was quiet long enough."""
        if not self._was_quiet(source):
            return
        self._add(chain, source, source.finish(self._since_ns(), self._epoch_ns()), batch)
        self._cursors[source.identity] = source.cursor()
        source.close()
        chain.sources.remove(source)

    # --- which files -------------------------------------------------------------------------------------

    def _discover(self) -> None:
        """Match the patterns; open what is new; let go of chains that nothing names any more."""
        wanted: dict[str, tuple[Follow, str]] = {}
        for follow in self._follows:
            for pattern in follow.globs:
                for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - patterns are absolute
                    if not path.endswith(PACKED):
                        wanted.setdefault(path, (follow, path))
        unnamed = [path for path in self._chains if not self._named(path)]
        for path in unnamed:
            for source in self._chains.pop(path).sources:
                self._cursors[source.identity] = source.cursor()
                source.close()
        followed = self._open_identities()
        for path, (follow, _) in wanted.items():
            found = identity(path)
            if path in self._chains or found is None or found[0] in followed:
                continue
            if len(self._chains) >= FILES_LIMIT:
                break
            labels = {**self._labels, **follow.labels, "source": path}
            chain = _Chain(path, labels, follow)
            self._extend(chain)
            if chain.sources:
                self._chains[path] = chain
                followed |= {source.identity for source in chain.sources}
        self._forget({found[0] for path in wanted if (found := identity(path))} | followed)

    def _named(self, path: str) -> bool:
        """Whether a pattern names this path, be there a file of that name just now or not."""
        return any(fnmatch.fnmatch(path, pattern) for f in self._follows for pattern in f.globs)

    def _open_identities(self) -> set[Identity]:
        return {source.identity for chain in self._chains.values() for source in chain.sources}

    def _extend(self, chain: _Chain) -> None:
        """Open the file that the chain's path names now, and before it those that had the name and are not read yet."""
        # Opened first: whatever is renamed from here on, this one is in hand, and the next round finds the next.
        current = self._open(chain, chain.path)
        if current is None:
            return
        others = self._open_identities() | {source.identity for source in chain.sources}
        if current.identity in others:
            current.close()
            return
        chain.sources += [*self._open_generations(chain, current, others), current]
        for source in chain.sources:
            if source.identity not in others and not source.known:
                self._cursors.pop(source.identity, None)  # of another file, that had this inode
                self._cursors[source.identity] = source.cursor()
                self._unregistered = True

    def _open_generations(self, chain: _Chain, current: Source, others: set[Identity]) -> list[Source]:
        """The renamed files of a chain that are to be read before `current`, oldest first, opened."""
        kept = {known: cursor for known, cursor in self._cursors.items() if cursor.path == chain.path}
        last = next(reversed(kept.values()), None)
        kept.pop(current.identity, None)
        since_ns = None
        # The file that was met last and does not begin as it did was cut: what lies beside it are copies of it.
        same = current.known or (last is not None and last.identity == current.identity)
        if not same:
            since_ns = last.mtime_ns if last else current.mtime_ns - HISTORY_NS
        opened: dict[Identity, Source] = {}
        for tries_left in reversed(range(RENAMES_SEEN_THROUGH)):
            beside = siblings(chain.path)
            for path in unread(beside, kept, others | {current.identity}, since_ns):
                source = self._open(chain, path)
                if source is not None and source.identity not in {*opened, *others, current.identity}:
                    opened[source.identity] = source
                elif source is not None:
                    source.close()
            names = {one.path: one.identity for one in beside}
            if not tries_left or names == {one.path: one.identity for one in siblings(chain.path)}:
                break
            for source in opened.values():  # names moved on while they were looked at
                source.close()
            opened.clear()
        there = others | set(opened)
        if last is not None and not same and last.identity not in there:
            self.lost_files += 1
        return list(opened.values())

    def _follow_rotations(self) -> None:
        """Where a path names another file than the newest of its chain, add what came since."""
        for chain in list(self._chains.values()):
            found = identity(chain.path)
            newest = chain.sources[-1]
            if found is None and len(chain.sources) == 1 and newest.at_end:
                self._let_go(chain, newest)
            elif found is not None and found[0] != newest.identity:
                self._extend(chain)

    def _let_go(self, chain: _Chain, source: Source) -> None:
        """A file that has no name any more: once quiet and with nothing held, it is done."""
        if self._was_quiet(source) and not source.held:
            self._cursors[source.identity] = source.cursor()
            source.close()
            del self._chains[chain.path]

    def _open(self, chain: _Chain, path: str) -> Source | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None  # gone again, or not ours to read: found or told anew with the next discovery
        told = os.fstat(fd)
        kept = self._cursors.get((told.st_dev, told.st_ino))
        return Source(chain.path, fd, chain.follow.kind, chain.follow.wrapped, kept)

    def _register(self) -> bool:
        """Write down the files that were opened; False when the disk refuses: they are not read before."""
        if self._unregistered:
            try:
                self._write()
            except OSError:
                return False
            self._unregistered = False
        return True

    def _forget(self, present: set[Identity]) -> None:
        """Drop cursors of files that are gone, but for the newest few of each path: a renamed file may turn up."""
        kept: Counter[str] = Counter()
        for known, cursor in reversed(list(self._cursors.items())):
            kept[cursor.path] += 1
            # Of a path that is not open, renamed files may be unread.
            many = kept[cursor.path] > GENERATIONS_KEPT and cursor.path in self._chains
            if known not in present and (many or not self._named(cursor.path)):
                del self._cursors[known]

    # --- putting -----------------------------------------------------------------------------------------

    def _put(self, batch: _Batch) -> bool:
        """The batch and its cursors into the spool, then the cursor file; False when the disk refuses for now."""
        if not batch.lines:
            return True
        body = self._compress("\n".join([*batch.lines, ""]).encode())
        note = json.dumps([cursor.to_json() for cursor in batch.touched.values()], separators=(",", ":"))
        try:
            offset = self._outbox.put("events", body, note.encode())
        except (OSError, Unavailable):
            return False
        self._cursors.update(batch.touched)
        self._spooled = offset
        # A full disk: the note in the spool says the same, the next batch more.
        with contextlib.suppress(OSError):
            self._write()
        return True

    def _write(self) -> None:
        cursors = [cursor.to_json() for cursor in self._cursors.values()]
        write_json(self._path, {"version": 1, "spooled": self._spooled, "cursors": cursors})
