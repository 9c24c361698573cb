"""Which series are new, and what many new ones differ by. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from weatherglass.engine.protocols import Labels

CHURN_S = 3600.0
_TOP = 10


class Count(NamedTuple):
    """Something and how many of it."""

    name: str
    many: int


class Births:
    """From which number on series are how old: a mark a minute, for the last hour. The owner holds a lock."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def note(self, numbers: Iterable[int], monotonic: float) -> None:
        """These series are new now."""
        first = min(numbers, default=-1)
        if first >= 0 and (not self._marks or monotonic - self._marks[-1][0] >= 60):
            self._marks.append((monotonic, first))
        while self._marks and monotonic - self._marks[0][0] > CHURN_S:
            self._marks.popleft()

    def since(self, monotonic: float) -> tuple[int, float]:
        """(the first number that is at most an hour old, -1 without any; over how many seconds)."""
        while self._marks and monotonic - self._marks[0][0] > CHURN_S:
            self._marks.popleft()
        return (self._marks[0][1], monotonic - self._marks[0][0]) if self._marks else (-1, 0.0)


def varying(many: Sequence[Labels]) -> list[Count]:
    """Labels by how many values they have among these series, those with more than one."""
    values: dict[str, set[str]] = {}
    for labels in many:
        for name, value in labels:
            values.setdefault(name, set()).add(value)
    found = Counter(
        {name: len(held) for name, held in values.items() if len(held) > 1 and name != "__name__"}
    )
    return [Count(*one) for one in found.most_common(_TOP)]


def worst(many: Sequence[Labels]) -> str:
    """What makes these series so many, in words; nothing where they differ by their names alone."""
    varied = varying(many)
    if not varied:
        return ""
    names = Counter(dict(labels).get("__name__", "") for labels in many)
    name, count = names.most_common(1)[0]
    return f"most of them ({count}) are of {name}, and the label {varied[0].name} has {varied[0].many} values among them"
