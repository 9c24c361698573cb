"""A few daemon threads that do calls for a loop that must not wait. Unlike an executor's, they never hold up an exit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Crew:
    """Runs what it is given, in order of arrival; threads are made when first needed."""

    def __init__(self, name: str, threads: int) -> None:
        self._name, self._most = name, threads
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._stopped = False

    def give(self, call: Callable[[], None]) -> None:
        """Run it soon, in a thread of the crew; after `stop` never."""
        with self._lock:
            if self._stopped:
                return
            if not self._idle and self._threads < self._most:
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        self._calls.put(call)

    def stop(self) -> None:
        """What is under way ends by itself and is not waited for; what has not begun is not begun."""
        with self._lock:
            self._stopped = True
            threads = self._threads
        for _ in range(threads):
            self._calls.put(None)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            call = self._calls.get()
            with self._lock:
                self._idle -= 1
            if call is None or self._stopped:
                return
            try:
                call()
            except BaseException:
                # The interpreter prints it; another thread takes this one's place at the next call.
                with self._lock:
                    self._threads -= 1
                raise
