"""The server's side of every agent's work stream: items out, results back, durable for each host.

What executors do lives in the agent; who may read a host's stream, in the gateway.

One log a host holds items and final results; progress is passed on and forgotten. An item is done when it has a
final result, and done items are not streamed again: an agent that lost its place asks from 0 and gets what is
still to do.

Keys. Every `send` is a new piece of work with a key of its own (sha256 of kind, body and a nonce): two restarts
asked for are two restarts, while one restart delivered twice is done once. With `once=True` the key is of kind
and body alone, and sending it while it is still to do gives the item that is there already.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, LimitExceeded, NotFound, Unavailable, WeatherglassError
from weatherglass.base.ids import is_plain_name
from weatherglass.engine.files import Files
from weatherglass.engine.log import Log
from weatherglass.engine.protocols import Work, WorkResult

_SEGMENT_BYTES = 4 << 20
_LOG_BYTES = 64 << 20
_PENDING = 10_000
_REMEMBERED = 1_000  # finished items whose results can still be asked for
_PROGRESS = 256  # the last of an item's progress, for who comes late


def work_key(kind: str, body: Mapping[str, Any], nonce: str = "") -> str:
    """What makes two items the same: sha256 of kind, canonical body and nonce."""
    return hashlib.sha256(_canonical([kind, body, nonce])).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(slots=True)
class _Item:
    floor: int  # its offset is this or higher
    offset: int = -1  # -1 until the log has it
    final: WorkResult | None = None
    progress: deque[WorkResult] = field(default_factory=lambda: deque(maxlen=_PROGRESS))
    told: int = 0  # how many progress results there have been


class _Host:
    """One host's queue. `changed` guards all of it and wakes streams and followers."""

    def __init__(self, log: Log) -> None:
        self.log, self.changed, self.closed = log, threading.Condition(), False
        self.newest = -1  # offset of the last item
        self.todo: dict[str, _Item] = {}
        self.done: OrderedDict[str, _Item] = OrderedDict()
        for offset, record in log.replay():
            told = json.loads(record)
            if "kind" in told:
                self.todo[told["key"]] = _Item(offset, offset)
                self.newest = offset
            else:
                # Its item may be trimmed already: the answer is remembered all the same.
                self.todo.setdefault(told["key"], _Item(told["offset"], told["offset"]))
                self.finish(
                    WorkResult(told["offset"], told["key"], told["status"], told["body"], told["error"])
                )

    def finish(self, final: WorkResult) -> None:
        item = self.todo.pop(final.key)
        item.final = final
        self.done.pop(final.key, None)  # an earlier one of the same key; the newest goes last
        self.done[final.key] = item
        while len(self.done) > _REMEMBERED:
            self.done.popitem(last=False)

    def item(self, key: str) -> _Item | None:
        return self.todo.get(key) or self.done.get(key)

    def oldest(self) -> int:
        """The offset below which nothing is needed: not to be done, nor (while there is room) to be answered again."""
        roomy = self.log.size_bytes <= _LOG_BYTES // 2
        remembered = self.log.next - (2 * _REMEMBERED if roomy else 0)
        return min([remembered, *(item.floor for item in self.todo.values())])


class Queues:
    """`protocols.WorkQueue`, and the calls behind the agents' stream and results."""

    def __init__(self, folder: Path | str, *, files: Files | None = None) -> None:
        self._folder, self._files = Path(folder), files
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self._closed = False

    def _host(self, name: str) -> _Host:
        if not is_plain_name(name):
            raise Invalid(f"{name!r} cannot name a host")
        with self._lock:
            if self._closed:
                raise Unavailable("the work queue is closed")
            if name not in self._hosts:
                log = Log(
                    self._folder / name, files=self._files, segment_bytes=_SEGMENT_BYTES, name=f"work/{name}"
                )
                self._hosts[name] = _Host(log)
            return self._hosts[name]

    # --- the rooms' side ---------------------------------------------------------------------------------

    def send(self, host: str, kind: str, body: Mapping[str, Any], *, once: bool = False) -> Work:
        """Durable on return. Raises Invalid (not JSON), LimitExceeded (too much waits already), Unavailable."""
        try:
            key = work_key(kind, body, "" if once else secrets.token_hex(8))
            record = _canonical({"version": 1, "kind": kind, "key": key, "body": body})
        except (TypeError, ValueError) as error:
            raise Invalid(f"the body of {kind!r} work is not JSON: {error}") from error
        queue = self._host(host)
        with queue.changed:
            while (there := queue.todo.get(key)) is not None:
                if there.offset >= 0:
                    return Work(there.offset, kind, key, body)
                queue.changed.wait()  # another is just sending the same
            if len(queue.todo) >= _PENDING:
                raise LimitExceeded(
                    f"{len(queue.todo)} items wait for {host} already",
                    where=f"host/{host}",
                    mend="see to its agent",
                )
            # Known before it is in the log: a stream that meets it there must not take it for a finished one.
            item = queue.todo[key] = _Item(queue.log.next)
        try:
            offset = queue.log.append([record])
        except WeatherglassError:
            with queue.changed:
                queue.todo.pop(key, None)
                queue.changed.notify_all()
            raise
        with queue.changed:
            item.floor = item.offset = offset
            queue.newest = max(queue.newest, offset)
            queue.changed.notify_all()
        self._make_room(host, queue)
        return Work(offset, kind, key, body)

    def wait(self, host: str, work: Work, timeout_s: float) -> WorkResult:
        """The final result. Raises Unavailable after `timeout_s`, NotFound for work that is not remembered."""
        queue = self._host(host)
        with queue.changed:
            item = self._known(queue, work.key)
            queue.changed.wait_for(lambda: item.final or queue.closed, timeout_s)
            if item.final is None:
                raise Unavailable(
                    f"no answer from {host} to {work.kind!r} within {timeout_s:g} s", where=f"host/{host}"
                )
            return item.final

    def follow(self, host: str, key: str, timeout_s: float = 60.0) -> Iterator[WorkResult]:
        """Progress as it comes, then the final result. Raises Unavailable when `timeout_s` pass without any."""
        queue = self._host(host)
        seen = 0
        with queue.changed:
            item = self._known(queue, key)
        while True:
            with queue.changed:
                queue.changed.wait_for(lambda: item.told > seen or item.final or queue.closed, timeout_s)  # noqa: B023
                fresh = list(item.progress)[-(item.told - seen) :] if item.told > seen else []
                seen, final = item.told, item.final
            yield from fresh
            if final is not None:
                yield final
                return
            if not fresh:
                raise Unavailable(f"nothing from {host} within {timeout_s:g} s", where=f"host/{host}")

    def unfinished(self, host: str) -> int:
        """How many items wait for this host's answer."""
        queue = self._host(host)
        with queue.changed:
            return len(queue.todo)

    @staticmethod
    def _known(queue: _Host, key: str) -> _Item:
        item = queue.item(key)
        if item is None:
            raise NotFound(f"no work with the key {key[:12]}… is remembered")
        return item

    # --- the agent's side --------------------------------------------------------------------------------

    def stream(self, host: str, start: int = 0, timeout_s: float = 5.0) -> Iterator[Work]:
        """What is to do, from offset `start`, as it comes; ends when nothing came for `timeout_s` (or at close).

        Go on from the last item's offset + 1. A start that this queue has not reached (an agent that knew another
        one, before a restore) is taken for 0. Nothing is held in memory between items.
        """
        queue = self._host(host)
        if start > queue.log.next:
            start = 0
        while True:
            for offset, record in queue.log.replay(start):
                start = offset + 1
                told = json.loads(record)
                if "kind" not in told:
                    continue
                with queue.changed:
                    item = queue.todo.get(told["key"])
                    wanted = item is not None and item.offset in (-1, offset)
                if wanted:
                    yield Work(offset, told["kind"], told["key"], told["body"])
            if not self._more(queue, start, timeout_s):
                return

    @staticmethod
    def _more(queue: _Host, start: int, timeout_s: float) -> bool:
        """Whether an item at `start` or later comes in time; results that land in the log do not count."""
        with queue.changed:
            queue.changed.wait_for(lambda: queue.closed or queue.newest >= start, timeout_s)
            return queue.newest >= start and not queue.closed

    def result(self, host: str, result: WorkResult) -> None:
        """What the agent (or who gives an item up) says. A final result is durable on return; a second one of the
        same item, or of one forgotten since, is passed over. Raises NotFound for work never given to this host."""
        queue = self._host(host)
        with queue.changed:
            item = queue.item(result.key)
            if item is None and result.offset >= queue.log.next:
                raise NotFound(f"{host} was given no work at offset {result.offset}")
            if item is None or item.final is not None or result.offset < item.offset:
                return
            if result.status == "progress":
                item.progress.append(result)
                item.told += 1
                queue.changed.notify_all()
                return
        queue.log.append([_final_record(result)])
        with queue.changed:
            if result.key in queue.todo:
                queue.finish(result)
                queue.changed.notify_all()
            oldest = queue.oldest()
        queue.log.trim(oldest)

    def _make_room(self, host: str, queue: _Host) -> None:
        """An item that nobody answers must not hold the log for ever: past the bound the oldest are given up."""
        while queue.log.size_bytes > _LOG_BYTES:
            with queue.changed:
                waiting = sorted((item.floor, key) for key, item in queue.todo.items() if item.offset >= 0)
            if len(waiting) < 2:
                return
            offset, key = waiting[0]
            self.result(host, WorkResult(offset, key, "failed", error="given up: the queue is full"))

    def close(self) -> None:
        """Ends every stream and wait."""
        with self._lock:
            self._closed, hosts = True, list(self._hosts.values())
        for queue in hosts:
            with queue.changed:
                queue.closed = True
                queue.changed.notify_all()
            queue.log.close()


def _final_record(result: WorkResult) -> bytes:
    return _canonical(
        {
            "version": 1,
            "key": result.key,
            "offset": result.offset,
            "status": result.status,
            "body": result.body,
            "error": result.error,
        }
    )
