"""Where a phrase can be in the messages of a template, told from the template alone. Pure.

A template is fixed words and variables between them. A phrase is surely in each of its messages when it stands in
the fixed words; it may be in some when variables could fill the gaps, with words that variables have at all. Mostly one
variable decides, with the fixed text on both sides of it: then its different values are asked, and no message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from weatherglass.logs.frame import STAR

_WORDS = re.compile(r"\w+")


class Ways(NamedTuple):
    """Which variables may each decide by itself, and whether several together may."""

    slots: tuple[int, ...]
    several: bool


@lru_cache(65536)
def elements(template: str) -> tuple[str | int, ...]:
    """Its folded words, and the numbers of its variables; parts of words that stand right beside one are the variable's."""
    out: list[str | int] = []
    pieces = template.casefold().split(STAR)
    for number, piece in enumerate(pieces):
        if number:
            out.append(number - 1)
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
    wanted = tuple(phrase)
    return any(words[at : at + size] == wanted for at in range(len(words) - size + 1))


@lru_cache(65536)
def ways(template: str, phrase: tuple[str, ...], free: tuple[bool, ...]) -> Ways:
    """How a message of it may have the phrase through variables; `free[i]`: word `i` may occur in one."""
    size = len(phrase)
    # (how much of the phrase is met, the one variable it took: -1 none yet, -2 several)
    reached: set[tuple[int, int]] = set()
    slots: set[int] = set()
    several = False
    for element in elements(template):
        if isinstance(element, str):
            reached = {(at + 1, took) for at, took in reached if at < size and phrase[at] == element} | (
                {(1, -1)} if phrase[0] == element else set()
            )
        else:
            grown = set()
            for at, took in (*reached, (0, -1)):
                through = element if took == -1 else -2
                end = at
                if at:
                    grown.add((at, through))
                while end < size and free[end]:
                    end += 1
                    grown.add((end, through))
            reached = grown
        for at, took in reached:
            if at == size and took >= 0:
                slots.add(took)
            several = several or (at == size and took == -2)
        if isinstance(element, str):
            # What ends with a fixed word ends there; what ends with a variable may go on in the next.
            reached = {one for one in reached if one[0] < size}
    return Ways(tuple(sorted(slots)), several)
