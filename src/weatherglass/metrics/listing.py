"""What there is, without its samples: tenants, series, names and values of labels, metadata, how far samples reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from weatherglass.engine.protocols import Labels
from weatherglass.metrics import reading
from weatherglass.metrics.index import Index
from weatherglass.metrics.matching import check
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.types import Matcher


class Listing:
    """The part of `Metrics` that lists. Any thread may call any method."""

    _partitions: dict[str, Partition]

    def _labels(
        self, tenant: str, matchers_list: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> list[Labels]:
        """Label sets of what any of the lists finds (all series without one) with samples about the span."""
        partition = self._partitions.get(tenant)
        if partition is None:
            return []
        for matchers in matchers_list:
            check(matchers)
        with partition.lock:
            index = partition.index
            found = [index.select(matchers) for matchers in matchers_list]
            numbers = np.unique(np.concatenate(found)) if found else index.published()
        numbers = reading.present(partition, numbers, start_ms, end_ms)
        with partition.lock:
            return [index.labels(number) for number in numbers.tolist()]

    def series(
        self,
        tenant: str,
        matchers_list: Sequence[Sequence[Matcher]],
        start_ms: int = reading.FIRST_MS,
        end_ms: int = reading.LAST_MS,
    ) -> list[dict[str, str]]:
        """Label sets that any of the lists of matchers finds, with samples about the span. Raises Invalid."""
        return [dict(labels) for labels in self._labels(tenant, matchers_list, start_ms, end_ms)]

    def label_names(
        self,
        tenant: str,
        matchers_list: Sequence[Sequence[Matcher]] = (),
        start_ms: int = reading.FIRST_MS,
        end_ms: int = reading.LAST_MS,
    ) -> list[str]:
        """Sorted names of labels; of all series without matchers. Raises Invalid."""
        if not matchers_list and (start_ms, end_ms) == (reading.FIRST_MS, reading.LAST_MS):
            return self._of_index(tenant, Index.names)
        found = self._labels(tenant, matchers_list, start_ms, end_ms)
        return sorted({name for labels in found for name, _ in labels})

    def label_values(
        self,
        tenant: str,
        name: str,
        matchers_list: Sequence[Sequence[Matcher]] = (),
        start_ms: int = reading.FIRST_MS,
        end_ms: int = reading.LAST_MS,
    ) -> list[str]:
        """Sorted values of one label; of all series without matchers. Raises Invalid."""
        if not matchers_list and (start_ms, end_ms) == (reading.FIRST_MS, reading.LAST_MS):
            return self._of_index(tenant, lambda index: index.values(name))
        found = self._labels(tenant, matchers_list, start_ms, end_ms)
        return sorted({value for labels in found for key, value in labels if key == name})

    def _of_index(self, tenant: str, ask: Callable[[Index], list[str]]) -> list[str]:
        partition = self._partitions.get(tenant)
        if partition is None:
            return []
        with partition.lock:
            return ask(partition.index)

    def metadata(self, tenant: str) -> dict[str, dict[str, str]]:
        """Metric family → type, help, unit, as senders told; kept in memory, senders repeat it."""
        partition = self._partitions.get(tenant)
        known = dict(partition.metadata) if partition else {}
        return {
            name: {"type": kind, "help": text, "unit": unit} for name, (kind, text, unit) in known.items()
        }

    def extent(self, tenant: str) -> tuple[int, int, int] | None:
        """(first, last ms, about how many samples) of a tenant; None without any."""
        partition = self._partitions.get(tenant)
        if partition is None:
            return None
        with partition.lock:
            files = [one.summary for one in partition.blocks] + [one.summary for one in partition.kept.every]
            spans = [(one.first_ms, one.last_ms, one.samples) for one in files]
            spans += [(one.first_ms, one.last_ms, one.samples) for one in partition.heads()]
            spans += [(one.first_ms, one.last_ms, one.samples) for one in partition.histogram_heads()]
            spans = [one for one in spans if one[2]]
        if not spans:
            return None
        return min(one[0] for one in spans), max(one[1] for one in spans), sum(one[2] for one in spans)

    def tenants(self) -> list[str]:
        """Names of those who have written."""
        return sorted(self._partitions)
