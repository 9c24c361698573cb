"""Words, and the small filter that tells where they cannot be.

A word is a run of letters, digits and `_`, its case folded. The filter of a row group is a Bloom filter (Bloom 1970)
over its distinct words of three characters and more; parts of a UUID of four hexadecimal digits are left out, as the
longer ones tell it apart. Eight bits a word and five probes: 2.2 % of the groups that do not have a word are read in
vain; twelve and eight, 0.3 %, where a group is long to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

from weatherglass.kernels.wordsets import Words

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

FEW, MANY = (8, 5), (12, 8)
"""(bits a word, probes)"""
_WORD = re.compile(r"\w+")
_KEPT = 3
_PART = re.compile(r"(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{4}")
_ASCII_BREAKS = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}


def wordy(sign: str) -> bool:
    """Whether a character is a part of words."""
    return sign.isalnum() or sign == "_"


def words_of(text: str) -> list[str]:
    """The folded words of a text, in order."""
    return _WORD.findall(text.casefold())


def kept(word: str) -> bool:
    """Whether filters know of a word of this form."""
    return len(word) >= _KEPT and not (len(word) == 4 and _PART.fullmatch(word))


def distinct_words(text: str) -> set[str]:
    """The folded words of a text that a filter knows of."""
    folded = text.casefold()
    # Four times as fast as the regular expression, which is right for every text.
    found = set(folded.translate(_ASCII_BREAKS).split()) if folded.isascii() else set(_WORD.findall(folded))
    return {word for word in found if kept(word)}


def _places(words: Iterable[str], bits: int, probes: int) -> np.ndarray:
    """(n, probes) int64. CRC-32 mixed by splitmix64's finaliser: two CRCs would not be independent."""
    import numpy as np

    crcs = [crc32(word.encode("utf-8", "surrogatepass")) for word in words]
    mixed = np.array(crcs, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    first, step = mixed & np.uint64(0xFFFFFFFF), (mixed >> np.uint64(32)) | np.uint64(1)
    steps = np.arange(probes, dtype=np.uint64)
    return np.asarray((first[:, None] + steps * step[:, None]) % np.uint64(bits), np.int64)


def take_words(words: Words, values: pa.Array) -> None:
    """Take in what `distinct_words` says of every text of an Arrow array of them, which has no nulls."""
    import numpy as np

    if not len(values):
        return
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None else np.array([], np.uint8)
    for number in words.scan(held, bounds):
        for word in distinct_words(values[number].as_py()):
            words.add(crc32(word.encode("utf-8", "surrogatepass")))


def make_filter(words: Words, form: tuple[int, int] = FEW) -> bytes:
    """The filter of these words; its first byte says how many probes."""
    bits = max(64, -(-len(words) * form[0] // 64) * 64)
    return bytes([form[1]]) + words.bloom(bits, form[1])


def may_have(made: bytes, words: Sequence[str]) -> list[bool]:
    """Of each word, whether it may be among those the filter was made of."""
    import numpy as np

    if not made:
        return [True] * len(words)
    places = _places(words, (len(made) - 1) * 8, made[0])
    bits = np.frombuffer(made, np.uint8, offset=1)[places >> 3] & (0x80 >> (places & 7)).astype(np.uint8)
    found = bits.astype(bool).all(axis=1).tolist() if words else []
    return [there or not kept(word) for word, there in zip(words, found, strict=True)]
