"""What senders tell beside samples: families' metadata and exemplars, of each tenant. In memory; senders repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weatherglass.base.time import MS_NS, Clock
from weatherglass.engine.protocols import Labels, Written
from weatherglass.metrics.formats.taken import Exemplar, Family, Taken
from weatherglass.metrics.histogram import Histogram
from weatherglass.metrics.intake import from_samples
from weatherglass.metrics.native import Native, NativeSamples, from_native
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.types import Matcher

_METADATA_KEPT = 20_000


class Told:
    """The part of `Metrics` that listens. Any thread may call any method."""

    _clock: Clock
    _partitions: dict[str, Partition]
    if TYPE_CHECKING:

        def _partition(self, tenant: str) -> Partition: ...
        def take(self, tenant: str, batch: Any, native: Native | None = None) -> Written: ...

    def receive(self, tenant: str, taken: Taken, now_ms: int) -> Written:
        """Stores what a format came to (`formats`), with its native histograms, families and exemplars; durable on
        return. Raises Invalid, LimitExceeded, Unavailable; then no sample of it is stored."""
        native = None
        many: list[tuple[Labels, int, Histogram]] = getattr(taken, "native", [])
        if many:
            rows: dict[Labels, dict[int, Histogram]] = {}
            for series, time_ms, histogram in many:
                rows.setdefault(series, {})[time_ms] = histogram
            ordered = [sorted(row.items()) for row in rows.values()]
            native = from_native(
                NativeSamples(
                    list(rows),
                    [[time_ms for time_ms, _ in row] for row in ordered],
                    [[histogram for _, histogram in row] for row in ordered],
                )
            )
        written = self.take(tenant, from_samples(taken.samples(now_ms)), native)
        return replace(written, exemplars=self.heard(tenant, taken.families, taken.exemplars))

    def heard(self, tenant: str, families: Mapping[str, Family], exemplars: Sequence[Exemplar] = ()) -> int:
        """Keeps what a sender told of its families, and its exemplars; how many exemplars were new."""
        partition = self._partition(tenant)
        known = partition.metadata
        for name, family in families.items():
            if name in known or len(known) < _METADATA_KEPT:
                known[name] = (family.kind, family.help, family.unit)
        return partition.exemplars.add(exemplars, self._clock.now_ns() // MS_NS) if exemplars else 0

    def exemplars(
        self, tenant: str, matchers_list: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[tuple[Labels, list[Exemplar]]]:
        """Exemplars by series that any list of matchers finds. Raises Invalid."""
        partition = self._partitions.get(tenant)
        return partition.exemplars.find(matchers_list, start_ms, end_ms) if partition else []
