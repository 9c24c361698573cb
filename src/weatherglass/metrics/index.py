"""One tenant's series: their numbers, their labels, and an inverted index from label pairs to them.

A series is *known* once it has a number and *published* once its labels are durable; only published ones are
found. Numbers rise and are never used twice. Regexes meet each distinct value once, and most of them no regex
engine at all. In memory alone, as arrays (`kernels.labelsets`, `kernels.table`); segments of it are written and
loaded as one body of canonical label sets. The owner locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from weatherglass.engine.protocols import Labels
from weatherglass.kernels.labels import write_labels
from weatherglass.kernels.labelsets import LabelSets
from weatherglass.kernels.table import SeriesTable
from weatherglass.metrics.matching import accepts, alternatives, beginning, shape
from weatherglass.metrics.types import BoolArray, Int64Array, Matcher

_TEXTS_KEPT = 200_000
_EVERY = np.zeros(1, np.int64)  # the entry whose posting is all that is published
_NONE = np.empty(0, np.int64)
_PLACES = {"begins": 0, "ends": 1, "contains": 2}


class Index:
    """Lookup by bytes, by number and by matcher."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.next = 0
        self.series = 0  # published
        self._sets = LabelSets()
        self._aliases = 0
        self._texts: dict[int, tuple[str, str]] = {}  # a pair's id → its name and value

    @property
    def memory(self) -> int:
        """Bytes held."""
        return self.table.memory + self._sets.memory

    def know(self, key: bytes, number: int | None = None) -> int:
        """A number for a new canonical key: the next one, or the one that the log or a segment recorded."""
        if number is None:
            number = self.next
        self._sets.know(key, number)
        self.table.add(key, number)
        self.next = max(self.next, number + 1)
        return number

    def alias(self, spelling: bytes, number: int) -> None:
        """Another spelling of the same labels, so that it is found by bytes next time; bounded, else dropped."""
        if self._aliases < 1024 + self.series:
            self._aliases += 1
            self.table.add(spelling, number)

    def knows(self, number: int) -> bool:
        return self._sets.knows(number)

    def key(self, number: int) -> bytes:
        """The canonical bytes of a series' labels."""
        return self._sets.key(number)

    def packed(self, numbers: Int64Array) -> bytes:
        """The body of a record of labels (`records`) of these series."""
        return self._sets.packed(numbers)

    def load(self, body: bytes) -> Int64Array:
        """Knows and publishes all of such a body; the numbers of those that are new here. Raises Corrupt."""
        new = self._sets.load(body)
        self.table.load(body)
        self.series += len(new)
        if len(new):
            self.next = max(self.next, int(new.max()) + 1)
        return new

    def labels(self, number: int) -> Labels:
        """The labels of a series."""
        ids = self._sets.ids(number)
        try:
            return tuple([self._texts[one] for one in ids])
        except KeyError:
            if len(self._texts) + len(ids) > _TEXTS_KEPT:
                self._texts.clear()
            for one in ids:
                name = self._sets.text(self._sets.name_of(one))
                self._texts[one] = (name.decode(), self._sets.text(one).decode())
            return tuple([self._texts[one] for one in ids])

    def publish(self, numbers: Iterable[int]) -> None:
        """From now on these are found."""
        fresh = np.array(list(numbers), np.int64)
        self._sets.publish(fresh)
        self.series += len(fresh)

    def published(self) -> Int64Array:
        """Numbers of all series that can be found, ascending."""
        return self._sets.gather(_EVERY).astype(np.int64)

    def published_from(self, number: int) -> Int64Array:
        """As `published`, those from a number on."""
        every = self.published()
        return every[np.searchsorted(every, number) :]

    def known(self, numbers: Int64Array) -> BoolArray:
        """(n,) bool: which of these are published."""
        return np.isin(numbers, self.published(), assume_unique=True)

    def names(self) -> list[str]:
        return sorted(
            self._sets.text(name).decode() for name in self._sets.names() if len(self._found_under(name))
        )

    def values(self, name: str) -> list[str]:
        found = self._sets.name(name.encode())
        if found < 0:
            return []
        return sorted(self._sets.text(pair).decode() for pair in self._found_under(found).tolist())

    def pairs_of(self, name: str) -> tuple[Int64Array, Int64Array]:
        """(ids of the pairs under a name that any series has, how many series have each)."""
        found = self._sets.name(name.encode())
        every = self._found_under(found) if found >= 0 else _NONE
        return every, self._sets.sizes(every).astype(np.int64)

    def text(self, pair: int) -> str:
        """The value of a pair."""
        return self._sets.text(pair).decode()

    def size(self, pair: int) -> int:
        """The bytes of its value."""
        return len(self._sets.text(pair))

    def arranged(self, numbers: Int64Array) -> Int64Array:
        """These numbers, one metric's together: what lies side by side in a block is read and packed together."""
        name = self._sets.name(b"__name__")
        return numbers[np.lexsort((numbers, self._sets.pairs_under(numbers, name)))]

    # --- matching ----------------------------------------------------------------------------------------

    def select(self, matchers: Sequence[Matcher]) -> Int64Array:
        """int64: the published series that pass every matcher, ascending. Raises Invalid for a bad regex."""
        needed: list[
            tuple[int, int, Int64Array]
        ] = []  # (series, name, pairs that pass), a value must be there
        refused: list[tuple[int, Int64Array]] = []  # (name, pairs that do not pass), the label may be absent
        empty = False
        for matcher in matchers:
            accept = accepts(matcher)
            name = self._sets.name(matcher.name.encode(errors="replace"))
            if accept(""):
                if name >= 0:
                    refused.append((name, self._pairs(name, _opposite(matcher))))
            elif name < 0:
                empty = True
            else:
                pairs = self._pairs(name, matcher)
                needed.append((int(self._sets.sizes(pairs).sum()), name, pairs))
        if empty:
            return _NONE
        needed.sort(key=lambda one: one[0])
        found = self._union(needed[0][2]) if needed else self.published()
        for size, name, pairs in needed[1:]:
            if size > 4 * len(found):
                found = self._sets.keep(found, name, self._flags(pairs), False)
            else:
                found = np.intersect1d(found, self._union(pairs), assume_unique=True)
        for name, pairs in refused:
            if len(pairs):
                found = self._sets.keep(found, name, 1 - self._flags(pairs), True)
        return found

    def _pairs(self, name: int, matcher: Matcher) -> Int64Array:
        """Ids of the pairs under a name whose value passes."""
        if matcher.op.startswith("!"):
            every = self._sets.scan(name, _PLACES["begins"], b"", 0)
            return np.setdiff1d(every, self._pairs(name, _opposite(matcher)), assume_unique=True)
        literals = [matcher.value] if matcher.op == "=" else alternatives(matcher.value)
        if literals is not None:
            ids = {self._sets.pair(name, one.encode(errors="replace")) for one in literals}
            return np.array(sorted(ids - {-1}), np.int64)
        simple = shape(matcher.value)
        if simple is not None:
            text = simple.text.encode(errors="replace")
            return self._sets.scan(name, _PLACES[simple.place], text, simple.more)
        begin = beginning(matcher.value).encode(errors="replace")
        candidates = self._sets.scan(name, _PLACES["begins"], begin, 0)
        texts = [self._sets.text(pair).decode() for pair in candidates.tolist()]
        return candidates[np.fromiter(map(accepts(matcher), texts), np.bool_, len(texts))]

    def _found_under(self, name: int) -> Int64Array:
        every = self._sets.scan(name, _PLACES["begins"], b"", 0)
        return every[self._sets.sizes(every) > 0]

    def _union(self, pairs: Int64Array) -> Int64Array:
        found = self._sets.gather(pairs)
        if len(pairs) < 2:
            return found.astype(np.int64)
        # A series has one value of a label: the postings are disjoint.
        if len(found) * 32 < self.next:
            return np.sort(found).astype(np.int64)
        seen = np.zeros(self.next, np.bool_)
        seen[found] = True
        return np.flatnonzero(seen)

    def _flags(self, pairs: Int64Array) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        flags = np.zeros(self._sets.entry_count, np.uint8)
        flags[pairs] = 1
        return flags


def canonical_key(labels: Labels) -> bytes:
    """What identifies a series in the table, the log and the segments."""
    return write_labels(labels)


def _opposite(matcher: Matcher) -> Matcher:
    return Matcher(matcher.name, {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}[matcher.op], matcher.value)  # type: ignore[arg-type]
