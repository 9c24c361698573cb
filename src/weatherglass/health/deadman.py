"""The dead-man's signal: tells a webhook that the house is alive, or that it is blind, or nothing at all.

Whoever receives it rings when it stops coming. So it stops when the loop that beats it stops for good, says so
once when that loop is late, and says what the house cannot see or write while it beats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import httpx

from weatherglass.base.time import Clock, iso


class DeadMan:
    """POSTs `{"alive", "site", "at", "reasons"}` as JSON to `url` every `period_s`.

    `alive` is false while there are reasons: what `blind()` says, or that `beat` was not called for three periods.
    After six periods without a beat nothing is sent any more, until one comes.
    """

    def __init__(
        self, url: str, site: str, blind: Callable[[], Sequence[str]], clock: Clock, period_s: float = 30.0
    ) -> None:
        self._url, self._site, self._blind, self._clock, self._period = url, site, blind, clock, period_s
        self._stopping = threading.Event()
        self._beat = clock.monotonic()
        self._thread = threading.Thread(target=self._run, name="deadman", daemon=True)
        self.sent = 0
        self.failed = 0

    def start(self) -> None:
        self._thread.start()

    def beat(self) -> None:
        """The loop that judges has come round."""
        self._beat = self._clock.monotonic()

    def stop(self) -> None:
        """Sends nothing more; returns when the thread has ended."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        with httpx.Client(timeout=min(5.0, self._period), trust_env=False) as client:
            while not self._stopping.is_set():
                body = self.message()
                if body is not None:
                    self._send(client, body)
                self._stopping.wait(self._period)

    def message(self) -> dict[str, object] | None:
        """What would be sent now; None for silence."""
        late = self._clock.monotonic() - self._beat
        if late > 6 * self._period:
            return None
        reasons = list(self._blind())
        if late > 3 * self._period:
            reasons.insert(0, f"nothing was judged for {late:.0f} s")
        return {"alive": not reasons, "site": self._site, "at": iso(self._clock.now_ns()), "reasons": reasons}

    def _send(self, client: httpx.Client, body: dict[str, object]) -> None:
        try:
            client.post(self._url, json=body).raise_for_status()
            self.sent += 1
        except httpx.HTTPError:
            self.failed += 1
