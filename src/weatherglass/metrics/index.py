"""One tenant's series: their numbers, their labels, and an inverted index from label pairs to them.

A series is *known* once it has a number and *published* once its labels are durable; only published ones are
found. Numbers rise and are never used twice. In memory alone; `sealing` writes segments of it, the owner locks.
"""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Iterable, Sequence

import numpy as np

from weatherglass.engine.protocols import Labels
from weatherglass.kernels.labels import read_labels, write_labels
from weatherglass.kernels.table import SeriesTable
from weatherglass.metrics.matching import accepts
from weatherglass.metrics.types import Int64Array, Matcher

_LABELS_KEPT = 50_000
_NONE = np.empty(0, np.int64)


class Index:
    """Lookup by bytes, by number and by matcher."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.next = 0
        self.series = 0  # published
        self._entries: dict[int, int] = {}  # number → its canonical key's place in the table
        self._published = array("I")  # ascending
        self._postings: dict[str, dict[str, array[int]]] = {}
        self._aliases = 0
        self._labels: dict[int, Labels] = {}

    def know(self, key: bytes, number: int | None = None) -> int:
        """A number for a new canonical key: the next one, or the one that the log or a segment recorded."""
        if number is None:
            number = self.next
        self._entries[number] = len(self.table)
        self.table.add(key, number)
        self.next = max(self.next, number + 1)
        return number

    def alias(self, spelling: bytes, number: int) -> None:
        """Another spelling of the same labels, so that it is found by bytes next time; bounded, else dropped."""
        if self._aliases < 1024 + self.series:
            self._aliases += 1
            self.table.add(spelling, number)

    def knows(self, number: int) -> bool:
        return number in self._entries

    def key(self, number: int) -> bytes:
        """The canonical bytes of a series' labels."""
        return self.table.key_at(self._entries[number])

    def labels(self, number: int) -> Labels:
        """The labels of a series."""
        found = self._labels.get(number)
        if found is None:
            pairs, _ = read_labels(self.key(number))
            if len(self._labels) >= _LABELS_KEPT:
                self._labels.clear()
            found = self._labels[number] = tuple(pairs)
        return found

    def publish(self, numbers: Iterable[int]) -> None:
        """From now on these are found."""
        for number in numbers:
            pairs, _ = read_labels(self.key(number))
            self.series += 1
            _add(self._published, number)
            for name, value in pairs:
                values = self._postings.setdefault(name, {})
                posting = values.get(value)
                if posting is None:
                    values[value] = array("I", (number,))
                else:
                    _add(posting, number)

    def published(self) -> Int64Array:
        """Numbers of all series that can be found, ascending."""
        return np.array(self._published, np.int64)

    def names(self) -> list[str]:
        return sorted(self._postings)

    def values(self, name: str) -> list[str]:
        return sorted(self._postings.get(name, ()))

    def select(self, matchers: Sequence[Matcher]) -> Int64Array:
        """int64: the published series that pass every matcher, ascending. Raises Invalid for a bad regex."""
        found: Int64Array | None = None
        without: list[Int64Array] = []
        for matcher in matchers:
            accept = accepts(matcher)
            values = self._postings.get(matcher.name, {})
            if accept(""):
                # Series without the label pass too: take away those that have a value that does not.
                without += [_numbers(posting) for value, posting in values.items() if not accept(value)]
                continue
            if matcher.op == "=":
                hits = [values[matcher.value]] if matcher.value in values else []
            else:
                hits = [posting for value, posting in values.items() if accept(value)]
            # A series has one value of a label: the postings are disjoint.
            mine = np.sort(np.concatenate([_numbers(hit) for hit in hits])) if hits else _NONE
            found = mine if found is None else np.intersect1d(found, mine, assume_unique=True)
            if not len(found):
                return _NONE
        if found is None:
            found = self.published()
        if without:
            found = found[~np.isin(found, np.concatenate(without))]
        return found


def canonical_key(labels: Labels) -> bytes:
    """What identifies a series in the table, the log and the segments."""
    return write_labels(labels)


def _numbers(posting: array[int]) -> Int64Array:
    return np.array(posting, np.int64)


def _add(posting: array[int], number: int) -> None:
    if not posting or posting[-1] < number:
        posting.append(number)
    else:  # two writers published in another order than they were numbered
        insort(posting, number)
