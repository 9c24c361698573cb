"""Where room calls run: bounded pools of threads, so that the event loop never waits for a room.

Streams that must wait for a room (an agent's work) have a pool of their own, or they would starve the rest. Threads
are daemons: what a room is still at does not keep the process from its end. Our own and not anyio's, whose hand-over
costs as much as a small query does.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, ParamSpec, TypeVar

from weatherglass.engine.priority import give_way

P = ParamSpec("P")
T = TypeVar("T")

IDLE_S = 30.0
"""A thread that has had nothing to do for so long ends."""


class _Job(NamedTuple):
    call: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Pool:
    """At most `threads` calls at once; the rest wait in the order they came."""

    def __init__(self, threads: int, nice: int = 0) -> None:
        """`nice` is what its threads give way by to those of other pools, where the system can tell threads apart."""
        self._threads, self._nice = threads, nice
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._alive = self._idle = self._waiting = 0

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's result. A caller that is cancelled leaves at once; the thread finishes what it began."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._waiting += 1
            self._jobs.put(_Job(functools.partial(call, *args, **kwargs), future, loop))
            more = self._waiting > self._idle and self._alive < self._threads
            self._alive += more
        if more:
            threading.Thread(target=self._work, name="gateway-pool", daemon=True).start()
        return await future

    def stats(self) -> dict[str, Any]:
        with self._lock:
            return {"threads": self._threads, "busy": self._alive - self._idle}

    def _work(self) -> None:
        give_way(self._nice)
        while True:
            with self._lock:
                self._idle += 1
            try:
                job = self._jobs.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    self._idle -= 1
                    if self._waiting:
                        continue  # it came just now
                    self._alive -= 1
                    return
            with self._lock:
                self._idle -= 1
                self._waiting -= 1
            if not job.future.cancelled():
                _done(job)
            del job  # its result is the caller's alone; an idle thread must not hold it


def _done(job: _Job) -> None:
    result, error = None, None
    try:
        result = job.call()
    except BaseException as raised:  # noqa: BLE001 - whatever it is, it is the caller's
        error = raised
    try:
        job.loop.call_soon_threadsafe(_settle, job.future, result, error)
    except RuntimeError:
        if not job.loop.is_closed():
            raise


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # the caller has left
    if isinstance(error, StopIteration):
        error = RuntimeError(f"a room raised {error!r}")  # a future cannot carry it
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
