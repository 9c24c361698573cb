"""Words: what a search asks for, whether a text has it, and the small filter that tells where it cannot be.

A text has a term when it occurs in it, letter case aside (full case folding), and not as a part of a longer
word: word characters are letters, digits and `_`. Terms are words between spaces, or phrases in double quotes.
All must occur. Pure, but that the filter is arithmetic on numpy arrays, imported when first needed.

The filter of a row group is a Bloom filter (Bloom 1970) over the distinct words of five characters or more: the
shorter ones are in nearly every group, or are parts of a UUID whose longer parts tell it apart as well. Six bits
a word and four probes: 5.6 % of the groups that do not have a word are read in vain.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np

BITS_A_WORD = 6
PROBES = 4

_TERM = re.compile(r'"([^"]*)"?|(\S+)')
_LONG = 5
_LONG_WORD = re.compile(rf"\w{{{_LONG},}}")
_ASCII_BREAKS = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}


def terms_of(query: str) -> tuple[str, ...]:
    """The folded terms of a query: words, and "quoted phrases". A quote that is not closed ends with the query."""
    found = ((form[1] if form[2] is None else form[2]).casefold() for form in _TERM.finditer(query))
    return tuple(dict.fromkeys(term for term in found if term.strip()))


def has_term(folded: str, term: str) -> bool:
    """Whether a folded text has a folded term, at word boundaries."""
    at, size = folded.find(term), len(term)
    while at >= 0:
        end = at + size
        if not (at and _is_word(term[0]) and _is_word(folded[at - 1])) and not (
            end < len(folded) and _is_word(term[-1]) and _is_word(folded[end])
        ):
            return True
        at = folded.find(term, at + 1)
    return False


def has_all(text: str, terms: Sequence[str]) -> bool:
    """Whether a text has every one of the terms."""
    folded = text.casefold()
    return all(has_term(folded, term) for term in terms)


def which_have(texts: Sequence[str], terms: Sequence[str]) -> list[int]:
    """The numbers of the texts that have every one of the terms, ascending."""
    joined = "\n".join(texts)
    if not joined.isascii():
        return [number for number, text in enumerate(texts) if has_all(text, terms)]
    # ASCII keeps its length when folded: all texts are searched at once, at the speed of `str.find`.
    folded, ends = joined.casefold(), list(accumulate(len(text) + 1 for text in texts))
    found: set[int] | None = None
    for term in terms:
        rows, at = set(), folded.find(term)
        while at >= 0:
            row = bisect_right(ends, at)
            if at + len(term) < ends[row]:
                rows.add(row)
                at = folded.find(term, ends[row])
            else:
                at = folded.find(term, at + 1)
        found = rows if found is None else found & rows
    numbers = range(len(texts)) if found is None else sorted(found)
    return [number for number in numbers if has_all(texts[number], terms)]


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def long_words(folded: str) -> set[str]:
    """The words of a folded text that a filter knows of."""
    if folded.isascii():
        # Four times as fast as the regular expression, which is right for every text.
        return {word for word in set(folded.translate(_ASCII_BREAKS).split()) if len(word) >= _LONG}
    return set(_LONG_WORD.findall(folded))


def _hashes(words: Iterable[str]) -> np.ndarray:
    """(n, 2) uint64: two hashes a word. CRC-32 mixed by splitmix64's finaliser: two CRCs would not be independent."""
    import numpy as np

    crcs = [crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    mixed = np.array(crcs, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.stack([mixed & np.uint64(0xFFFFFFFF), (mixed >> np.uint64(32)) | np.uint64(1)], axis=1)


def _places(words: Iterable[str], bits: int) -> np.ndarray:
    import numpy as np

    hashes = _hashes(words)
    steps = np.arange(PROBES, dtype=np.uint64)
    return np.asarray((hashes[:, :1] + steps * hashes[:, 1:]) % np.uint64(bits), np.int64)


def make_filter(words: set[str]) -> bytes:
    """The filter of these words."""
    import numpy as np

    bits = max(64, -(-len(words) * BITS_A_WORD // 64) * 64)
    table = np.zeros(bits, bool)
    if words:
        table[_places(words, bits).ravel()] = True
    return np.packbits(table).tobytes()


def may_have(made: bytes, terms: Sequence[str]) -> bool:
    """Whether a text with every one of `terms` may be among those the filter was made of."""
    import numpy as np

    words = {word for term in terms for word in long_words(term)}
    if not words or not made:
        return True
    places = _places(words, len(made) * 8).ravel()
    table = np.frombuffer(made, np.uint8)
    return bool(np.all(table[places >> 3] & (0x80 >> (places & 7)).astype(np.uint8)))
