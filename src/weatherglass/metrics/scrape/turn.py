"""What one scrape of one target comes to: samples, staleness, the scrape's own series. Pure; nothing is fetched here.

A series that was there at the last scrape and is not now gets a stale marker at once, as in Prometheus; so do all of
a target's when it fails or is no longer found. A series that came with a time of its own is left alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from weatherglass.base.errors import LimitExceeded
from weatherglass.engine.protocols import Labels, Samples
from weatherglass.metrics.formats.exposition import Seen
from weatherglass.metrics.formats.taken import Taken
from weatherglass.metrics.scrape.job import Target
from weatherglass.metrics.scrape.relabel import relabel
from weatherglass.metrics.types import STALE_BITS

STALE: float = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]
REPORTED = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)


@dataclass(slots=True)
class Memory:
    """What is remembered of a target between scrapes: its lines, what its series became, which were there last."""

    seen: Seen = field(default_factory=Seen)
    became: dict[Labels, Labels | None] = field(default_factory=dict)
    present: set[Labels] = field(default_factory=set)


def _became(target: Target, series: Labels) -> Labels | None:
    """The labels under which a scraped series is stored; None where relabelling drops it."""
    labels = dict(series)
    for name, value in target.labels:
        if name not in labels:
            labels[name] = value
        elif not target.job.honor_labels:
            exported = f"exported_{name}"
            while exported in labels:
                exported = f"exported_{exported}"
            labels[exported] = labels[name]
            labels[name] = value
    kept = relabel(labels, target.job.metric_relabel)
    if not kept or not kept.get("__name__"):
        return None
    if target.job.label_limit and len(kept) > target.job.label_limit:
        raise LimitExceeded(
            f"a series has {len(kept)} labels; at most {target.job.label_limit}", where=kept["__name__"]
        )
    return tuple(sorted(kept.items()))


def _report(target: Target, values: Iterable[float]) -> dict[Labels, float]:
    return {
        tuple(sorted((*target.labels, ("__name__", name)))): value
        for name, value in zip(REPORTED, values, strict=True)
    }


def good(target: Target, memory: Memory, taken: Taken, now_ms: int, duration_s: float) -> Samples:
    """The samples of a scrape that was read. `memory` moves on. Raises LimitExceeded: then call `bad`."""
    rows: dict[Labels, dict[int, float]] = {}
    now_present: set[Labels] = set()
    kept = 0
    for series, time_ms, value in zip(taken.series, taken.times_ms, taken.values, strict=True):
        if series in memory.became:
            stored = memory.became[series]
        else:
            stored = memory.became[series] = _became(target, series)
        if stored is None:
            continue
        kept += 1
        own_time = time_ms is not None and target.job.honor_timestamps
        rows.setdefault(stored, {})[time_ms if own_time and time_ms is not None else now_ms] = value
        if not own_time:
            now_present.add(stored)
    if target.job.sample_limit and kept > target.job.sample_limit:
        raise LimitExceeded(f"{kept} samples; at most {target.job.sample_limit}", where=target.url)
    added = len(now_present - memory.present)
    for gone in memory.present - now_present:
        rows[gone] = {now_ms: STALE}
    memory.present = now_present
    if len(memory.became) > 2 * len(taken.series) + 1000:
        memory.became = {series: memory.became[series] for series in taken.series}
    for report, value in _report(target, (1.0, duration_s, len(taken.series), kept, added)).items():
        rows[report] = {now_ms: value}
    return _samples(rows)


def bad(target: Target, memory: Memory, now_ms: int, duration_s: float, scraped: int = 0) -> Samples:
    """The samples of a scrape that failed: `up` is 0, everything that was there is stale."""
    rows: dict[Labels, dict[int, float]] = {gone: {now_ms: STALE} for gone in memory.present}
    memory.present = set()
    for report, value in _report(target, (0.0, duration_s, scraped, 0.0, 0.0)).items():
        rows[report] = {now_ms: value}
    return _samples(rows)


def gone(target: Target, memory: Memory, now_ms: int) -> Samples:
    """The samples that end a target: everything it gave, and what was said of it, is stale."""
    ended = {*memory.present, *_report(target, [STALE] * len(REPORTED))}
    memory.present = set()
    return _samples({one: {now_ms: STALE} for one in ended})


def _samples(rows: dict[Labels, dict[int, float]]) -> Samples:
    ordered = [sorted(row.items(), key=lambda pair: pair[0]) for row in rows.values()]
    return Samples(
        list(rows),
        [[time for time, _ in row] for row in ordered],
        [[value for _, value in row] for row in ordered],
    )
