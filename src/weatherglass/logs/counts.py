"""Metrics from logs: how many events of each level, service and template, as counters. Pure.

| metric | labels |
|---|---|
| `weatherglass_log_events_total` | level, service, host |
| `weatherglass_log_template_events_total` | template_id, logger, level; `template_id="other"` beyond the most that are told apart |

Counters begin at 0 when the store is opened, as those of any process do: `rate` and `increase` know.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from weatherglass.base.time import MS_NS
from weatherglass.engine.protocols import Labels, Samples
from weatherglass.logs.frame import Frame

if TYPE_CHECKING:
    import numpy as np

MOST_SERIES = 2000  # of a tenant's services, levels and hosts
MOST_TEMPLATES = 500  # of a tenant
EVENTS = "weatherglass_log_events_total"
TEMPLATES = "weatherglass_log_template_events_total"


class EventCounts:
    """Counts what is taken in; `samples` says how far the counters are. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[Labels]] = {}
        self._known: dict[str, set[str]] = {}
        self._changed: set[str] = set()

    def add(self, tenant: str, frame: Frame) -> None:
        """Events of a tenant that are new."""
        events = _grouped(frame, ("level", "service", "host"))
        templates = _grouped(frame, ("template_id", "logger", "level"))
        with self._lock:
            counts = self._counts.setdefault(tenant, Counter())
            known = self._known.setdefault(tenant, set())
            self._changed.add(tenant)
            for (level, service, host), count in events.items():
                labels = _labels(EVENTS, level=level, service=service, host=host)
                if labels not in counts and len(counts) >= MOST_SERIES + 8 * MOST_TEMPLATES:
                    labels = _labels(EVENTS, level=level, service="other", host="")
                counts[labels] += count
            for (id_, logger, level), count in templates.items():
                if id_ not in known and len(known) >= MOST_TEMPLATES:
                    id_, logger = "other", ""
                known.add(id_)
                counts[_labels(TEMPLATES, template_id=id_, logger=logger, level=level)] += count

    def samples(self, at_ns: int) -> dict[str, Samples]:
        """Tenant → its counters now, of those tenants that had events since the last time."""
        with self._lock:
            changed, self._changed = self._changed, set()
            told = {tenant: dict(self._counts[tenant]) for tenant in sorted(changed)}
        at_ms = at_ns // MS_NS
        return {
            tenant: Samples(
                list(counts), [[at_ms]] * len(counts), [[float(count)] for count in counts.values()]
            )
            for tenant, counts in told.items()
        }


def _labels(name: str, **labels: str) -> Labels:
    return tuple(sorted((("__name__", name), *((key, value) for key, value in labels.items() if value))))


def _grouped(frame: Frame, names: tuple[str, ...]) -> dict[tuple[str, ...], int]:
    """How many events have each combination of values ("" for none)."""
    import numpy as np

    keys: np.ndarray = np.zeros(frame.rows, np.int64)
    lists: list[list[str]] = []
    for name in names:
        if name == "template_id":
            found = frame.numbers(name)
            values, codes = np.unique(found[0], return_inverse=True) if found else (np.array([0]), 0)
            shown = [str(one) for one in values.tolist()]
        else:
            coded = frame.coded(name)
            codes = coded.codes if coded else 0
            shown = [*(coded.values.to_pylist() if coded else []), ""]
        keys = keys * len(shown) + codes
        lists.append(shown)
    out: dict[tuple[str, ...], int] = {}
    for key, count in zip(*(part.tolist() for part in np.unique(keys, return_counts=True)), strict=True):
        parts = []
        for shown in reversed(lists):
            key, code = divmod(key, len(shown))
            parts.append(shown[code])
        out[tuple(reversed(parts))] = count
    return out
