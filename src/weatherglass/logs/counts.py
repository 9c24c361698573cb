"""Metrics from logs: how many events of each level, service and template, as counters. Pure.

| metric | labels |
|---|---|
| `weatherglass_log_events_total` | level, service, host |
| `weatherglass_log_template_events_total` | template_id, logger, level; `template_id="other"` beyond the most that are told apart |
| `weatherglass_log_new_templates_total` | level, service: templates never seen before, neither wider nor narrower |
| `weatherglass_log_error_burst` | service: -log10 of the probability of the last minute's error lines at the rate of the half hour before |

Counters begin at 0 when the store is opened, as those of any process do: `rate` and `increase` know.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from weatherglass.base.bursts import burst_log10
from weatherglass.base.time import MS_NS, SECOND_NS
from weatherglass.engine.protocols import Labels, Samples
from weatherglass.logs.frame import Frame
from weatherglass.logs.novelty import Known

if TYPE_CHECKING:
    import numpy as np

MOST_SERIES = 2000  # of a tenant's services, levels and hosts
MOST_TEMPLATES = 500  # of a tenant
EVENTS = "weatherglass_log_events_total"
TEMPLATES = "weatherglass_log_template_events_total"
NEW = "weatherglass_log_new_templates_total"
BURST = "weatherglass_log_error_burst"
ERRORS = ("ERROR", "CRITICAL")
RECENT_NS = 60 * SECOND_NS
PAST_NS = 1800 * SECOND_NS
LEAST_MEAN = 0.2  # error lines a minute that nobody wonders at: a first one alone is no burst


class EventCounts:
    """Counts what is taken in; `samples` says how far the counters are. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[Labels]] = {}
        self._known: dict[str, set[str]] = {}
        self._changed: set[str] = set()
        self._kinds: dict[str, Known] = {}
        self._began: dict[str, int] = {}
        self._errors: dict[tuple[str, str], deque[tuple[int, int]]] = {}

    def add(
        self, tenant: str, frame: Frame, before: Callable[[], Iterable[str]] = tuple, at_ns: int = 0
    ) -> None:
        """Events of a tenant that are new. `before` gives the templates that were there when it was first asked of."""
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
            if tenant not in self._kinds:
                self._kinds[tenant], self._began[tenant] = Known(before()), at_ns
            kinds = self._kinds[tenant]
            for text, level, service in _grouped(frame, ("template", "level", "service")):
                labels = _labels(NEW, level=level, service=service)
                counts[labels] += kinds.is_new(text)
            errors: Counter[str] = Counter()
            for (level, service, _), count in events.items():
                errors[service] += count * (level in ERRORS)
            for service, count in errors.items():
                if count and (len(self._errors) < MOST_SERIES or (tenant, service) in self._errors):
                    self._errors.setdefault((tenant, service), deque()).append((at_ns, count))

    def samples(self, at_ns: int) -> dict[str, Samples]:
        """Tenant → its counters now, of those tenants that had events since the last time."""
        with self._lock:
            changed, self._changed = self._changed, set()
            told: dict[str, dict[Labels, float]] = {
                tenant: dict(self._counts[tenant]) for tenant in sorted(changed)
            }
            for (tenant, service), windows in list(self._errors.items()):
                value = self._burst(tenant, windows, at_ns)
                told.setdefault(tenant, {})[_labels(BURST, service=service)] = value
                if not windows:
                    del self._errors[tenant, service]
        at_ms = at_ns // MS_NS
        return {
            tenant: Samples(
                list(counts), [[at_ms]] * len(counts), [[float(count)] for count in counts.values()]
            )
            for tenant, counts in told.items()
        }

    def _burst(self, tenant: str, windows: deque[tuple[int, int]], at_ns: int) -> float:
        while windows and windows[0][0] < at_ns - PAST_NS - RECENT_NS:
            windows.popleft()
        recent = sum(count for at, count in windows if at > at_ns - RECENT_NS)
        past_ns = min(PAST_NS, max(RECENT_NS, at_ns - RECENT_NS - self._began.get(tenant, 0)))
        mean = sum(count for at, count in windows if at <= at_ns - RECENT_NS) * RECENT_NS / past_ns
        return burst_log10(recent, max(mean, LEAST_MEAN))


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
