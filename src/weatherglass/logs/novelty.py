"""Which templates are new: never seen before, and no wider or narrower form of one that was. Pure.

A miner widens a template when it learns that a word varies, and one that starts anew begins narrow again: neither is
a new kind of line. So a text is new only if no known template fits it and it fits none that is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

STAR = "<*>"
MOST = 20_000
"""Templates that are remembered of a tenant; beyond it nothing is called new any more."""


class Known:
    """The templates of one tenant so far."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts: set[str] = set()
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        for text in texts:
            self._remember(text)

    def is_new(self, text: str) -> bool:
        """Whether this kind of line was never seen; from here on it was."""
        if text in self._texts or len(self._texts) >= MOST or not text.replace(STAR, "").strip():
            return False
        mine = _pattern(text)
        akin = any(pattern.fullmatch(text) or mine.fullmatch(known) for known, pattern in self._patterns)
        self._remember(text)
        return not akin

    def _remember(self, text: str) -> None:
        if text not in self._texts and len(self._texts) < MOST and text.replace(STAR, "").strip():
            self._texts.add(text)
            self._patterns.append((text, _pattern(text)))


def _pattern(text: str) -> re.Pattern[str]:
    """What a template may become: a place for any text in every variable, bounded so that it cannot run away."""
    pieces = text.split(STAR)
    if len(pieces) > 12:  # many variables: the fixed words at both ends tell enough
        pieces = [pieces[0], pieces[-1]]
    return re.compile(".+?".join(map(re.escape, pieces)), re.DOTALL)
