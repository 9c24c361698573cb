"""Where a phrase can be in the messages of a template, told from the template alone. Pure.

A template is fixed words and variables between them. A phrase is surely in each of its messages when it stands in
the fixed words; it may be in some when variables could fill the gaps, with words that variables have at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from weatherglass.logs.frame import STAR

_WORDS = re.compile(r"\w+")


@lru_cache(65536)
def elements(template: str) -> tuple[str | None, ...]:
    """Its folded words; None for a variable, together with the parts of words that stand right beside it."""
    out: list[str | None] = []
    pieces = template.casefold().split(STAR)
    for number, piece in enumerate(pieces):
        if number and (not out or out[-1] is not None or _WORDS.search(pieces[number - 1])):
            out.append(None)
        for found in _WORDS.finditer(piece):
            glued = (number > 0 and found.start() == 0) or (
                number < len(pieces) - 1 and found.end() == len(piece)
            )
            if not glued:
                out.append(found[0])
    return tuple(out)


def sure(template: str, phrase: Sequence[str]) -> bool:
    """Whether the phrase's words stand one after the other among the fixed words."""
    words, size = elements(template), len(phrase)
    if phrase[0] not in words:
        return False
    return any(list(words[at : at + size]) == list(phrase) for at in range(len(words) - size + 1))


def possible(template: str, phrase: Sequence[str], free: Sequence[bool]) -> bool:
    """Whether a message of it may have the phrase; `free[i]`: word `i` may occur in a variable."""
    size = len(phrase)
    reached = {0}
    for word in elements(template):
        if word is None:
            grown = {0}
            for begin in reached:
                grown.add(begin)
                at = begin
                while at < size and free[at]:
                    at += 1
                    grown.add(at)
            reached = grown
        else:
            reached = {0} | {at + 1 for at in reached if at < size and phrase[at] == word}
        if size in reached:
            return True
    return False
