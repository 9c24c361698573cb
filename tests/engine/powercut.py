"""A disk in memory that loses what was not synced: the worst that `engine.files.Files` allows, as a test double.

What it models: bytes written since the last `sync` of their file may be there, be missing, be torn (a beginning
of them), be zeros, or be there while earlier ones are missing, each file on its own; names (create, rename,
unlink, mkdir) since the last `sync_dir` of their folder likewise, each name on its own, in any subset. A sync that
fails with EIO leaves its bytes readable but marked clean: no later sync brings them to the disk. A write that
fails with ENOSPC may have written a part.

Every write, sync and change of names is a *point*. `every_cut` runs a scenario once to count them, then again with
the power cut at each, and hands what could be on the disk then to a check; `every_fault` does so with each sync
failing and each write finding the disk full, the scenario going on, and the power cut afterwards; `random_faults`
with many at once:

    from engine.powercut import every_cut, every_fault, random_faults

    def run(files, acked):                  # `acked` is a list of its own for each run
        store = Store("/store", files=files)
        for item in ITEMS:
            store.put(item)                 # durable on return, says the store
            acked.append(item)

    def check(files, acked):                # must open the store anew; it may write
        assert list(Store("/store", files=files))[: len(acked)] == acked

    def test_power_cuts():
        every_cut(run, check)

Under the other two the scenario must catch the store's own Unavailable and note what it acknowledged alone.
"""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from weatherglass.base.errors import Unavailable
from weatherglass.engine.files import write_atomic

PathLike = str | Path


class PowerCut(BaseException):
    """The power is gone. Not an Exception: nothing in the code under test may survive it."""


@dataclass(slots=True)
class _Op:
    """One change not known to be on the disk (or known to be, behind one that is not)."""

    kind: str  # write(offset, data) truncate(size) | set(name, node) del(name) move(source, target, node)
    args: tuple[Any, ...]
    certain: bool = False


@dataclass(slots=True)
class _Node:
    """A file or a folder: what is on the disk for certain, what may be, and what the running system sees."""

    folder: bool
    stored: Any = None
    seen: Any = None
    ops: list[_Op] = field(default_factory=list)
    lost: int = 0  # of `ops`, how many a failed sync has given up

    def __post_init__(self) -> None:
        if self.stored is None:
            self.stored = {} if self.folder else bytearray()
        if self.seen is None:
            self.seen = self.stored.copy()

    def do(self, kind: str, *args: Any) -> None:
        op = _Op(kind, args)
        _apply(self.seen, op)
        self.ops.append(op)

    def sync(self) -> None:
        for op in self.ops[self.lost :]:
            op.certain = True
        if not self.lost:
            self.stored, self.ops = self.seen.copy(), []

    def fail_sync(self) -> None:
        self.lost = len(self.ops)


def _apply(state: Any, op: _Op) -> None:
    match op.kind, op.args:
        case "write", (offset, data):
            if len(state) < offset:
                state.extend(bytes(offset - len(state)))
            state[offset : offset + len(data)] = data
        case "truncate", (size,):
            if len(state) < size:
                state.extend(bytes(size - len(state)))
            del state[size:]
        case "set", (name, node):
            state[name] = node
        case "del", (name,):
            state.pop(name, None)
        case "move", (source, target, node):
            state.pop(source, None)
            state[target] = node


def _survivors(ops: list[_Op], how: str, chance: random.Random) -> Iterator[_Op]:
    for number, op in enumerate(ops):
        fate = how
        if how == "prefix":  # chosen once for a node: everything up to a point, the last torn
            how, fate = f"prefix:{chance.randrange(len(ops) + 1)}", ""
        if how.startswith("prefix:"):
            end = int(how.partition(":")[2])
            fate = "all" if number < end else "torn" if number == end else "none"
        elif how == "any":
            fate = chance.choice(("all", "all", "none", "torn", "zeros"))
        if op.certain or fate == "all":
            yield op
        elif op.kind == "write" and fate in ("torn", "zeros"):
            offset, data = op.args
            part = data[: chance.randrange(len(data) + 1)] if fate == "torn" else bytes(len(data))
            yield _Op("write", (offset, part))


class PowerCutFiles:
    """`Files` in memory. `faults` maps a point to `cut`, `eio` (of a sync) or `enospc` (of a write)."""

    def __init__(self, faults: dict[int, str] | None = None, *, space: int | None = None) -> None:
        """`space`: bytes that the files may hold in all; past it every write raises ENOSPC."""
        self.faults, self.space = faults or {}, space
        self.trace: list[tuple[str, str]] = []
        """(operation, path) of every point so far."""
        self._root = _Node(folder=True)
        self._lock = threading.RLock()
        self._dead = False

    # --- faults and crashes ------------------------------------------------------------------------------

    def point(self, operation: str, path: PathLike) -> str:
        """Counts a point; the fault that belongs there, or nothing."""
        self.powered()
        fault = self.faults.get(len(self.trace), "")
        self.trace.append((operation, str(path)))
        if fault == "cut":
            self._dead = True
            raise PowerCut
        return fault

    def powered(self) -> None:
        if self._dead:
            raise PowerCut

    def crash_states(self, samples: int = 6, seed: int = 0) -> Iterator[PowerCutFiles]:
        """Disks as they may be found after a power cut now: the four plain cases, then `samples` drawn at random."""
        chance = random.Random(seed)
        plain = [("none", "none"), ("all", "all"), ("all", "none"), ("none", "all")]
        for data, names in plain + [("", "")] * samples:
            with self._lock:
                state = PowerCutFiles()
                state._root = self._crashed(self._root, data, names, chance, {})
            yield state

    def _crashed(
        self, node: _Node, data: str, names: str, chance: random.Random, made: dict[int, _Node]
    ) -> _Node:
        if id(node) in made:
            return made[id(node)]
        how = (names if node.folder else data) or chance.choice(("none", "all", "prefix", "any"))
        stored = node.stored.copy()
        for op in _survivors(node.ops, how, chance):
            _apply(stored, op)
        if node.folder:
            stored = {name: self._crashed(one, data, names, chance, made) for name, one in stored.items()}
        made[id(node)] = _Node(node.folder, stored)
        return made[id(node)]

    def killed(self) -> PowerCutFiles:
        """The same disk under a new process: nothing is lost, nothing became durable, no fault is left."""
        other = PowerCutFiles()
        other._root = self._root
        return other

    # --- the tree ----------------------------------------------------------------------------------------

    def _find(self, path: PathLike) -> _Node:
        node = self._root
        for part in _parts(path):
            if not node.folder:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            if part not in node.seen:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            node = node.seen[part]
        return node

    def _file(self, path: PathLike) -> _Node:
        node = self._find(path)
        if node.folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        return node

    def _parent(self, path: PathLike) -> tuple[_Node, str]:
        *above, name = _parts(path)
        node = self._find("/".join(above))
        if not node.folder:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return node, name

    def used(self) -> int:
        """Bytes in all files, as the running system sees them."""

        def of(node: _Node) -> int:
            return sum(map(of, node.seen.values())) if node.folder else len(node.seen)

        return of(self._root)

    # --- Files -------------------------------------------------------------------------------------------

    def create(self, path: PathLike, mode: int = 0o600) -> _OpenFile:
        with self._lock:
            folder, name = self._parent(path)
            if name in folder.seen:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            if self.point("create", path) == "enospc":
                raise _enospc(path)
            node = _Node(folder=False)
            folder.do("set", name, node)
            return _OpenFile(self, path, node)

    def open_append(self, path: PathLike) -> _OpenFile:
        with self._lock:
            self.powered()
            return _OpenFile(self, path, self._file(path)) if self.exists(path) else self.create(path)

    def read(self, path: PathLike, offset: int = 0, size: int = -1) -> bytes:
        with self._lock:
            self.powered()
            seen = self._file(path).seen
            return bytes(seen[offset:] if size < 0 else seen[offset : offset + size])

    def size(self, path: PathLike) -> int:
        with self._lock:
            self.powered()
            return len(self._file(path).seen)

    def exists(self, path: PathLike) -> bool:
        with self._lock:
            self.powered()
            try:
                self._find(path)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def is_dir(self, path: PathLike) -> bool:
        with self._lock:
            return self.exists(path) and self._find(path).folder

    def listdir(self, path: PathLike) -> list[str]:
        with self._lock:
            self.powered()
            node = self._find(path)
            if not node.folder:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            return sorted(node.seen)

    def write_atomic(self, path: PathLike, data: bytes, mode: int = 0o600) -> None:
        write_atomic(self, path, data, mode)

    def rename(self, source: PathLike, target: PathLike) -> None:
        with self._lock:
            (old, name), (new, wanted) = self._parent(source), self._parent(target)
            node = self._find(source)
            self.point("rename", target)
            if old is new:
                old.do("move", name, wanted, node)
            else:
                new.do("set", wanted, node)
                old.do("del", name)

    def unlink(self, path: PathLike) -> None:
        with self._lock:
            self._file(path)
            folder, name = self._parent(path)
            self.point("unlink", path)
            folder.do("del", name)

    def rmdir(self, path: PathLike) -> None:
        with self._lock:
            if self._find(path).seen:
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
            folder, name = self._parent(path)
            self.point("rmdir", path)
            folder.do("del", name)

    def mkdir(self, path: PathLike) -> None:
        with self._lock:
            *above, name = _parts(path)
            folder = "/" + "/".join(above)
            if self.exists(path):
                self.sync_dir(folder)
                return
            if above:
                self.mkdir(folder)
            if self.point("mkdir", path) == "enospc":
                raise _enospc(path)
            self._find(folder).do("set", name, _Node(folder=True))
            try:
                self.sync_dir(folder)
            except OSError:
                self.rmdir(path)
                raise

    def sync_dir(self, path: PathLike) -> None:
        with self._lock:
            self._sync(self._find(path), "sync_dir", path)

    def _sync(self, node: _Node, operation: str, path: PathLike) -> None:
        if self.point(operation, path) == "eio":
            node.fail_sync()
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        node.sync()


class _OpenFile:
    def __init__(self, disk: PowerCutFiles, path: PathLike, node: _Node) -> None:
        self._disk, self._path, self._node = disk, path, node

    def write(self, data: bytes) -> None:
        with self._disk._lock:
            full = self._disk.space is not None and self._disk.used() + len(data) > self._disk.space
            if self._disk.point("write", self._path) == "enospc" or full:
                self._node.do("write", len(self._node.seen), bytes(data[: len(data) // 2]))
                raise _enospc(self._path)
            self._node.do("write", len(self._node.seen), bytes(data))

    def sync(self) -> None:
        with self._disk._lock:
            self._disk._sync(self._node, "sync", self._path)

    def tell(self) -> int:
        with self._disk._lock:
            self._disk.powered()
            return len(self._node.seen)

    def truncate(self, size: int) -> None:
        with self._disk._lock:
            self._disk.point("truncate", self._path)
            self._node.do("truncate", size)

    def close(self) -> None:
        """Closing makes nothing durable, and a dead machine does not mind."""


def _parts(path: PathLike) -> list[str]:
    return [part for part in PurePosixPath(path).parts if part != "/"]


def _enospc(path: PathLike) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


# --- running scenarios -----------------------------------------------------------------------------------

Run = Callable[[PowerCutFiles, list[Any]], None]
Check = Callable[[PowerCutFiles, list[Any]], None]

_FAULTS = {"sync": "eio", "sync_dir": "eio", "write": "enospc", "create": "enospc", "mkdir": "enospc"}


def every_cut(run: Run, check: Check, *, samples: int = 6, seed: int = 0, every: int = 1) -> int:
    """Cuts the power at each point of `run` (or each `every`th); how many states of the disk were checked.

    For one state of each cut the power is cut again at each point of `check`, and what is left checked.
    """
    whole = PowerCutFiles()
    run(whole, [])
    checked = 0
    for at in range(0, len(whole.trace) + 1, every):
        disk, acked = PowerCutFiles({at: "cut"}), []
        _run_until(run, disk, acked)
        where = f"power cut at point {at}: {' '.join(disk.trace[-1])}"
        checked += _check_states(disk, check, acked, where, samples, seed + at)
        checked += _cut_recovery(disk, check, acked, where, seed + at)
    return checked


def every_fault(run: Run, check: Check, *, samples: int = 3, cuts: int = 2, seed: int = 0) -> int:
    """Fails each sync of `run` with EIO and each write with ENOSPC, once each; checks a new process on the same
    disk, a power cut at the end, and `cuts` of them at random points after the fault."""
    whole = PowerCutFiles()
    run(whole, [])
    checked, chance = 0, random.Random(seed)
    for at, (operation, path) in enumerate(whole.trace):
        if operation not in _FAULTS:
            continue
        later = [{}] + [{at + chance.randint(1, 12): "cut"} for _ in range(cuts)]
        for cut in later:
            disk, acked = PowerCutFiles({at: _FAULTS[operation], **cut}), []
            _run_until(run, disk, acked)
            where = f"{_FAULTS[operation]} at point {at}: {operation} {path}; cut at {[*cut] or 'the end'}"
            checked += _check_states(disk, check, acked, where, samples, seed + at)
            if not cut:
                _checked(check, disk.killed(), acked, f"{where}; killed, not cut")
                checked += 1
    return checked


def random_faults(run: Run, check: Check, *, runs: int = 60, samples: int = 3, seed: int = 0) -> int:
    """Runs with syncs and writes failing at random, few or many, and the power cut somewhere or at the end."""
    checked = 0
    for number in range(seed, seed + runs):
        chance = random.Random(number)
        disk, acked = _FailingFiles(chance), []
        if number % 3:
            disk.faults[chance.randint(5, 80)] = "cut"
        _run_until(run, disk, acked)
        checked += _check_states(disk, check, acked, f"random faults {number}", samples, number)
    return checked


class _FailingFiles(PowerCutFiles):
    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance, self._rate = chance, chance.choice((0.03, 0.1, 0.3))

    def point(self, operation: str, path: PathLike) -> str:
        if operation in _FAULTS and self._chance.random() < self._rate:
            self.faults.setdefault(len(self.trace), _FAULTS[operation])
        return super().point(operation, path)


def _run_until(run: Run, disk: PowerCutFiles, acked: list[Any]) -> None:
    try:
        run(disk, acked)
    except (PowerCut, Unavailable, OSError):
        return  # what was acknowledged until then is in `acked`


def _check_states(
    disk: PowerCutFiles, check: Check, acked: list[Any], where: str, samples: int, seed: int
) -> int:
    number = 0
    for number, state in enumerate(disk.crash_states(samples, seed), 1):
        _checked(check, state, acked, f"{where}; state {number}")
    return number


def _cut_recovery(disk: PowerCutFiles, check: Check, acked: list[Any], where: str, seed: int) -> int:
    def state() -> PowerCutFiles:
        *_, last = disk.crash_states(1, seed)
        return last

    counted = state()
    _checked(check, counted, acked, where)
    for again in range(len(counted.trace)):
        half = state()
        half.faults = {again: "cut"}
        _run_until(check, half, acked)
        for left in half.crash_states(1, seed + again):
            _checked(check, left, acked, f"{where}; cut again in recovery at point {again}")
    return len(counted.trace)


def _checked(check: Check, disk: PowerCutFiles, acked: list[Any], where: str) -> None:
    try:
        check(disk, acked)
    except Exception as error:
        error.add_note(where)
        raise
