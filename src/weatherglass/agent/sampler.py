"""The round of samples, every five seconds: the host, its replicas, declared endpoints, the agent itself."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from weatherglass.agent import replicas
from weatherglass.agent.collectors import families, host_samples, kind_of
from weatherglass.agent.costs import TOLD, as_samples, sample_name
from weatherglass.agent.outbox import Outbox
from weatherglass.agent.remote_write import Encoder, encode_metadata
from weatherglass.agent.replicas import Replicas
from weatherglass.agent.scrape import Scraper
from weatherglass.base.errors import Unavailable
from weatherglass.base.time import MS_NS, Clock
from weatherglass.engine.protocols import ReplicaSeen

METADATA_EVERY = 720
"""Rounds (an hour) between two tellings of what the metrics are."""


def described() -> dict[str, tuple[str, str]]:
    """`{metric: (type, help)}` of all that an agent says by itself."""
    return {
        **families(),
        **{f"weatherglass_replica_{name}": (kind_of(name), doc) for name, doc in replicas.TOLD.items()},
        **{sample_name(name): told for name, told in TOLD.items()},
    }


class Sampler:
    """Collects a round and puts it into the outbox."""

    def __init__(
        self,
        labels: Mapping[str, str],
        outbox: Outbox,
        clock: Clock,
        seen: Callable[[], Sequence[ReplicaSeen]],
        told: Callable[[], Mapping[str, float]],
        period_s: float,
    ) -> None:
        self.scraper = Scraper()
        self._encoder = Encoder(labels)
        self._replicas = Replicas()
        self._outbox, self._clock, self._seen, self._told = outbox, clock, seen, told
        self._period = period_s
        self._failed: Counter[str] = Counter()
        self.unput = 0
        self._rounds = 0

    @property
    def failed(self) -> int:
        """Collectors that could not be read and rounds that could not be put, since the start."""
        return self._failed.total() + self.unput

    def round(self) -> None:
        """Collect and put one batch."""
        at_ms = self._clock.now_ns() // MS_NS
        samples = [
            *host_samples(failed=self._failed),
            *self._replicas.samples(self._seen()),
            *self.scraper.samples(),
            *as_samples(self._told()),
        ]
        metadata = b""
        if self._rounds % METADATA_EVERY == 0:
            metadata = encode_metadata(described())
        self._rounds += 1
        try:
            self._outbox.put("samples", self._encoder.encode(samples, at_ms, metadata))
        except Unavailable:
            self.unput += 1  # the disk is full or failed: this round is lost and counted, the next may pass

    def run(self, stop: threading.Event) -> None:
        due = self._clock.monotonic()
        while not stop.is_set():
            self.round()
            due = max(due + self._period, self._clock.monotonic())
            stop.wait(due - self._clock.monotonic())
