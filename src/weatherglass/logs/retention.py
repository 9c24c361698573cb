"""What is kept and for how long; which blocks to put together. Pure: rows of the catalogue in, decisions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from typing import NamedTuple

from weatherglass.base.time import SECOND_NS
from weatherglass.logs.catalogue import BlockRow

TIER = 8
"""So many blocks of a size become one; so an event is written again once for each power of it."""
MERGED_EVENTS = 500_000


@dataclass(frozen=True, slots=True)
class Retention:
    """A tenant's own: 0 keeps without bound. `levels`: level → seconds, shorter than `age_s` (DEBUG a day, ERROR a month)."""

    age_s: float = 0.0
    bytes: int = 0
    levels: Mapping[str, float] = made(default_factory=dict)


class Thinned(NamedTuple):
    """A block of which events of some levels are not kept any longer."""

    block: BlockRow
    levels: frozenset[str]


def expired(rows: Sequence[BlockRow], retention: Retention, now_ns: int) -> list[BlockRow]:
    """One tenant's blocks that go whole: too old, or the longest seen while there are more bytes than are kept."""
    gone: list[BlockRow] = []
    stored = sum(row.bytes_stored for row in rows)
    for row in sorted(rows, key=lambda row: row.seen_ns):
        old = retention.age_s and now_ns - row.seen_ns > retention.age_s * SECOND_NS
        if not (old or 0 < retention.bytes < stored or _levels_gone(row, retention, now_ns) >= _levels(row)):
            continue
        gone.append(row)
        stored -= row.bytes_stored
    return gone


def thinned(rows: Sequence[BlockRow], retention: Retention, now_ns: int) -> list[Thinned]:
    """The blocks in which some levels are too old and others are not."""
    found = []
    for row in rows:
        levels = _levels_gone(row, retention, now_ns)
        if levels and levels < _levels(row):
            found.append(Thinned(row, levels))
    return found


def _levels(row: BlockRow) -> frozenset[str]:
    return frozenset(level for level, count in row.levels.items() if count)


def _levels_gone(row: BlockRow, retention: Retention, now_ns: int) -> frozenset[str]:
    age_s = (now_ns - row.seen_ns) / SECOND_NS
    return (
        frozenset(level for level in _levels(row) if 0 < retention.levels.get(level, 0) < age_s)
        if row.events
        else frozenset()
    )


def to_merge(rows: Sequence[BlockRow], seal_events: int) -> list[BlockRow]:
    """Blocks of one tenant, next to one another in time and of one tier of size, that are to be one; none yet: []."""
    tiers: dict[int, list[BlockRow]] = {}
    for row in sorted(rows, key=lambda row: (row.first_ns, row.path)):
        if row.events < MERGED_EVENTS // 2:
            tier, bound = 0, max(1, seal_events)
            while row.events > bound * 2:
                tier, bound = tier + 1, bound * TIER
            tiers.setdefault(tier, []).append(row)
    for _, alike in sorted(tiers.items()):
        if len(alike) >= TIER:
            taken, total = list[BlockRow](), 0
            for row in alike[: 4 * TIER]:
                if total + row.events > MERGED_EVENTS:
                    break
                taken.append(row)
                total += row.events
            if len(taken) >= TIER // 2:
                return taken
    return []
