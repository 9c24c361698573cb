"""Which files are followed, how rotation is followed, and how events become batches that are never lost.

A path has a chain of files, oldest first: when another file takes the name (rename and create), the old one is
read to its end and kept open until it was quiet for `QUIET_S`, since its writer may not have noticed yet. The
next file of a chain is read only when nothing is held of the one before it: order is kept.
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
from weatherglass.agent.tail.source import Source, readable
from weatherglass.base.errors import Unavailable
from weatherglass.base.time import SECOND_NS, Clock

BATCH_BYTES = 1 << 20
BATCH_EVENTS = 5000
DISCOVER_S = 3.0
QUIET_S = 5.0
FILES_LIMIT = 512
GENERATIONS_KEPT = 4
PACKED = (".gz", ".xz", ".bz2", ".zst")


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
        notes: Iterable[bytes],
    ) -> None:
        """`notes`: those of the event batches that are in the spool after `Tailer.spooled(path)`, in order."""
        self._path, self._labels, self._outbox, self._clock = path, dict(labels), outbox, clock
        self._period = period_s
        self._compress = zstandard.ZstdCompressor(level=1).compress
        self._chains: dict[str, _Chain] = {}
        self._follows: tuple[Follow, ...] = ()
        self._changed = threading.Event()
        self._unput: _Batch | None = None
        self._due = 0.0
        self.events = 0
        self.lost_files = 0
        kept = read_json(path)
        values = kept["cursors"] if isinstance(kept, dict) else []
        self._cursors = {cursor.identity: cursor for cursor in map(Cursor.from_json, values)}
        for note in notes:
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
            if self._outbox.crowded:
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
            self._follow_rotation(chain)
            for source in list(chain.sources):
                self._take(chain, source, batch)
                while not source.at_end and not batch.full:
                    self._take(chain, source, batch)
                if source.at_end and source.held and source is not chain.sources[-1] and self._is_old(source):
                    self._add(chain, source, source.finish(self._since_ns()), batch)
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
            events = source.read(self._since_ns())
        except OSError:
            source.at_end = True  # a failing disk or mount: looked at again in the next round
            return
        self._add(chain, source, events, batch)

    def _add(self, chain: _Chain, source: Source, events: Iterable[Any], batch: _Batch) -> None:
        count, epoch_ns = 0, self._clock.now_ns() - self._since_ns()
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
        self._add(chain, source, source.finish(self._since_ns()), batch)
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
            self._resume(chain, found[0])
            if chain.sources:
                self._chains[path] = chain
                followed |= {source.identity for source in chain.sources}
        self._forget({found[0] for path in wanted if (found := identity(path))} | followed)

    def _named(self, path: str) -> bool:
        """Whether a pattern names this path, be there a file of that name just now or not."""
        return any(fnmatch.fnmatch(path, pattern) for f in self._follows for pattern in f.globs)

    def _open_identities(self) -> set[Identity]:
        return {source.identity for chain in self._chains.values() for source in chain.sources}

    def _resume(self, chain: _Chain, current: Identity) -> None:
        """Open a path, and before it the files that had its name when the agent last read it."""
        kept = [c for c in self._cursors.values() if c.path == chain.path and c.identity != current]
        if kept and current not in self._cursors:
            last = max(kept, key=lambda cursor: cursor.mtime_ns)
            self._open_generations(chain, last.identity, last.mtime_ns, current)
        self._open(chain, chain.path)

    def _open_generations(self, chain: _Chain, old: Identity, since_ns: int, current: Identity) -> None:
        """Open the renamed files of a chain from `old` on, oldest first: some may have come and gone unseen."""
        folder, name = os.path.split(chain.path)
        known = self._open_identities() | {source.identity for source in chain.sources} | {current}
        found = []
        try:
            names = os.listdir(folder)  # noqa: PTH208 - names alone
        except OSError:
            return
        for other in names:
            # `app.log.1`, `app.log-20261122`, `app-1.log`: whatever shares the stem may be an older generation.
            if other == name or other.endswith(PACKED) or not other.startswith(name.partition(".")[0]):
                continue
            told = identity(f"{folder}/{other}")
            if told is None or told[0] in known or fnmatch.fnmatch(other, name):
                continue
            renamed = other.startswith((name + ".", name + "-"))
            if told[0] == old or (
                renamed and told[1].st_mtime_ns > since_ns and told[0] not in self._cursors
            ):
                found.append((told[0] != old, told[1].st_mtime_ns, f"{folder}/{other}"))
        if old not in known and not any(not later for later, _, _ in found):
            self.lost_files += 1
        for _, _, path in sorted(found):
            self._open(chain, path)

    def _follow_rotation(self, chain: _Chain) -> None:
        """When the path names another file than the newest of the chain, add what came since."""
        found = identity(chain.path)
        newest = chain.sources[-1]
        if found is None or found[0] == newest.identity or found[0] in self._open_identities():
            if found is None and len(chain.sources) == 1 and newest.at_end:
                self._let_go(chain, newest)
            return
        self._open_generations(chain, newest.identity, max(newest.mtime_ns, 0), found[0])
        self._open(chain, chain.path)

    def _let_go(self, chain: _Chain, source: Source) -> None:
        """A file that has no name any more: once quiet and with nothing held, it is done."""
        if self._was_quiet(source) and not source.held:
            self._cursors[source.identity] = source.cursor()
            source.close()
            chain.sources.remove(source)

    def _open(self, chain: _Chain, path: str) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return  # gone again, or not ours to read: found or told anew with the next discovery
        told = os.fstat(fd)
        kept = self._cursors.get((told.st_dev, told.st_ino))
        source = Source(chain.path, fd, chain.follow.kind, chain.follow.wrapped, kept)
        chain.sources.append(source)

    def _forget(self, present: set[Identity]) -> None:
        """Drop cursors of files that are gone, but for the newest few of each path: a renamed file may turn up."""
        kept: Counter[str] = Counter()
        for known, cursor in sorted(self._cursors.items(), key=lambda pair: -pair[1].mtime_ns):
            kept[cursor.path] += 1
            gone = not self._named(cursor.path) or kept[cursor.path] > GENERATIONS_KEPT
            if known not in present and gone:
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
        cursors = [cursor.to_json() for cursor in self._cursors.values()]
        with contextlib.suppress(
            OSError
        ):  # a full disk: the note in the spool says the same, the next batch more
            write_json(self._path, {"version": 1, "spooled": offset, "cursors": cursors})
        return True
