"""The work stream: items come down one outbound HTTP stream, executors act on them, results go back.

- Resumable: the server streams what has no final result yet, so the stream is always opened from 0 and the
  server's queue alone knows what is to do. (An offset kept here as well could lie ahead of a queue that was
  restored from a backup, and work would be skipped for ever.)
- Idempotent: the answer of each item is kept on disk by its key; a key seen again is answered again, not done
  again, and one that is being done is let be.
- Ordered within a kind, independent between kinds: each kind has a lane (thread) of its own, so a long
  `deploy.converge` holds up no `fault` and no `deploy.act`.
- At least once: an agent killed amid an item does it again after its start; executors converge, so that is
  right. For a kind marked `once` it is not, and such an item is answered as failed instead.

Executors are handed in (`executors`: kind → Executor); what they do is their rooms' business.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from weatherglass.agent.durable import read_json, write_json
from weatherglass.agent.wire import Backoff, Wire
from weatherglass.base.errors import Denied, LimitExceeded, Unauthenticated, Unavailable, WeatherglassError
from weatherglass.engine.protocols import Work, WorkResult

ANSWERS_KEPT = 512
LANE_DEPTH = 1024

Progress = Callable[[float, str], None]
"""Told the share that is done, 0…1, and a line for a person."""


class Executor(NamedTuple):
    """Who does one kind of work. `run(body, progress)` returns the result's body or raises."""

    run: Callable[[Mapping[str, Any], Progress], Mapping[str, Any]]
    doc: str
    once: bool = False


class Answers:
    """What became of each key, on disk, the newest `ANSWERS_KEPT` of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._order = [
            path.name for path in sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime_ns)
        ]

    def get(self, key: str) -> dict[str, Any] | None:
        found = read_json(self._folder / self._name(key))
        return found if isinstance(found, dict) else None

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Durable on return."""
        name = self._name(key)
        write_json(self._folder / name, answer)
        if name in self._order:
            self._order.remove(name)
        self._order.append(name)
        while len(self._order) > ANSWERS_KEPT:
            (self._folder / self._order.pop(0)).unlink(missing_ok=True)

    @staticmethod
    def _name(key: str) -> str:
        # Keys are content hashes; anything else must not become a path.
        safe = key if key.isalnum() and len(key) <= 128 else key.encode().hex()[:200]
        return f"{safe}.json"


def parse_item(line: bytes) -> Work | None:
    """The item on one line of the stream; None for a keep-alive. Raises ValueError for anything else."""
    value = json.loads(line)
    if value == {}:
        return None
    try:
        offset, kind, key, body = value["offset"], value["kind"], value["key"], value["body"]
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a work item: {error!r}") from error
    if not (
        isinstance(offset, int) and isinstance(kind, str) and isinstance(key, str) and isinstance(body, dict)
    ):
        raise ValueError("a work item has offset, kind, key and body")  # noqa: TRY004 - of bytes from outside
    return Work(offset, kind, key, body)


@dataclass
class _Lane:
    items: queue.Queue[Work | None]
    thread: threading.Thread


class WorkStream:
    """The agent's end of the stream. `run` is its own thread's."""

    def __init__(
        self,
        state: Path,
        executors: Mapping[str, Executor],
        stream: Wire,
        results: Callable[[], Wire],
        backoff: Callable[[], Backoff],
        done: Callable[[], None],
    ) -> None:
        self._answers = Answers(state / "answers")
        self._executors, self._stream, self._results = executors, stream, results
        self._backoff, self._done = backoff, done
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()
        self._doing: set[tuple[int, str]] = set()
        self.items = 0

    def run(self, stop: threading.Event, refused: Callable[[WeatherglassError], None]) -> None:
        """Read the stream until `stop`, opening it again whenever it ends."""
        backoff = self._backoff()
        while not stop.is_set():
            try:
                for line in self._stream.lines("/api/v1/agent/work?from=0"):
                    backoff.reset()
                    item = parse_item(line)
                    if item is not None:
                        self._dispatch(item, stop)
                    if stop.is_set():
                        break
            except (Unauthenticated, Denied) as error:
                refused(error)
                break
            except (WeatherglassError, ValueError):
                # Nothing of a broken line is acted on; the stream is opened again.
                stop.wait(backoff.next())
                continue
            stop.wait(backoff.next())
        for lane in self._lanes.values():
            lane.items.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for lanes that are amid an item, each up to `timeout_s`."""
        for lane in self._lanes.values():
            lane.thread.join(timeout_s)

    def _dispatch(self, item: Work, stop: threading.Event) -> None:
        with self._lock:
            if (item.offset, item.key) in self._doing:
                return
            self._doing.add((item.offset, item.key))
        self.items += 1
        lane = self._lanes.get(item.kind)
        if lane is None:
            items: queue.Queue[Work | None] = queue.Queue(LANE_DEPTH)
            thread = threading.Thread(
                target=self._run_lane, args=(items, stop), name=f"work-{item.kind}", daemon=True
            )
            lane = self._lanes[item.kind] = _Lane(items, thread)
            thread.start()
        lane.items.put(item)

    def _run_lane(self, items: queue.Queue[Work | None], stop: threading.Event) -> None:
        wire, backoff = self._results(), self._backoff()
        while (item := items.get()) is not None and not stop.is_set():
            result = self._do(item, wire)
            self._done()
            if not self._deliver(result, wire, backoff, stop):
                return
            with self._lock:
                self._doing.discard((item.offset, item.key))

    def _do(self, item: Work, wire: Wire) -> WorkResult:
        executor = self._executors.get(item.kind)
        if executor is None:
            return WorkResult(
                item.offset, item.key, "failed", error=f"this agent has no executor for {item.kind!r}"
            )
        kept = self._answers.get(item.key)
        if kept is not None and kept["status"] != "started":
            return WorkResult(item.offset, item.key, kept["status"], kept["body"], kept["error"])
        if executor.once:
            if kept is not None:
                return WorkResult(
                    item.offset,
                    item.key,
                    "failed",
                    error="the agent died while doing this; it is not done twice",
                )
            self._answers.put(item.key, {"status": "started", "body": {}, "error": ""})

        def progress(share: float, text: str) -> None:
            told = WorkResult(item.offset, item.key, "progress", {"share": share, "text": text})
            try:
                wire.post("/api/v1/agent/results", asdict(told))
            except WeatherglassError:
                return  # progress is a courtesy: the final result says all, and is retried

        try:
            result = WorkResult(item.offset, item.key, "done", dict(executor.run(item.body, progress)))
        except Exception as error:  # noqa: BLE001 - an executor of any room may raise anything: it is the answer
            result = WorkResult(item.offset, item.key, "failed", error=_sentence(error))
        self._answers.put(item.key, {"status": result.status, "body": result.body, "error": result.error})
        return result

    def _deliver(self, result: WorkResult, wire: Wire, backoff: Backoff, stop: threading.Event) -> bool:
        """Post until acknowledged; False when the agent stops first (the item is then answered after its start)."""
        while not stop.is_set():
            try:
                wire.post("/api/v1/agent/results", asdict(result))
            except (Unavailable, LimitExceeded):
                stop.wait(backoff.next())
            except (Unauthenticated, Denied):
                return False  # the stream hears the same and stops the agent
            except WeatherglassError:
                return True  # the server knows this agent and has decided: it no longer waits for this answer
            else:
                backoff.reset()
                return True
        return False


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, WeatherglassError) else f"{type(error).__name__}: {error}"
