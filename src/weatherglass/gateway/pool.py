"""Where room calls run: bounded pools of threads, so that the event loop never waits for a room.

Streams that must wait for a room (an agent's work) have a pool of their own, or they would starve the rest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """At most `threads` calls at once; the rest wait in the order they came."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._made: CapacityLimiter | None = None

    @property
    def _limiter(self) -> CapacityLimiter:
        # a limiter belongs to the loop it is made in, and the app is built before its loop runs
        if self._made is None:
            self._made = CapacityLimiter(self._threads)
        return self._made

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's result. A caller that is cancelled leaves at once; the thread finishes what it began."""
        return await anyio.to_thread.run_sync(
            functools.partial(call, *args, **kwargs), abandon_on_cancel=True, limiter=self._limiter
        )

    def stats(self) -> dict[str, Any]:
        busy = self._made.borrowed_tokens if self._made else 0
        return {"threads": self._threads, "busy": busy}
