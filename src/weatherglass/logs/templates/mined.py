"""What the miner says of messages: `Mined` of a batch, `Template` of an id. Values only; mining is `miner`.

Text is handled as its UTF-8 bytes; lone surrogates pass (`surrogatepass`), so any `str` comes back as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
ERRORS: Final = "surrogatepass"
STAR: Final = "<*>"


@dataclass(frozen=True, slots=True)
class Variable:
    """One slot of a template. `type` is one of `types.TYPES`: number, uuid, address, path, word, text, …"""

    type: str


@dataclass(frozen=True, slots=True)
class Template:
    """A template as it was when its id was given out; it never changes (a wider one has an id of its own).

    `pieces` are the fixed texts around the variables: one more than there are variables.
    """

    id: int
    group: str
    """The logger it was first seen from, "" where none was known; no part of what it is."""
    pieces: tuple[str, ...]
    variables: tuple[Variable, ...]

    @property
    def text(self) -> str:
        """With `<*>` for every variable, and without the blanks at its end; for people, `render` takes `pieces`."""
        return STAR.join(self.pieces).rstrip()

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(slot.type for slot in self.variables)


@dataclass(frozen=True, slots=True)
class Mined:
    """A batch: of message `i`, `ids[i]` and the variables `spans[first[i]:first[i + 1]]`.

    `buffer` holds the messages' UTF-8 one after the other, message `i` at `offsets[i]:offsets[i + 1]`; a span is
    (begin, end) in `buffer`, so that columns of variables can be cut from it without making a string each.
    """

    ids: Int64Array
    """(n,) int64"""
    first: Int64Array
    """(n + 1,) int64: where in `spans` a message's variables begin"""
    spans: Int64Array
    """(m, 2) int64: begin and end in `buffer`"""
    buffer: bytes
    offsets: Int64Array
    """(n + 1,) int64"""

    def __len__(self) -> int:
        return len(self.ids)

    def message(self, index: int) -> str:
        return self.buffer[self.offsets[index] : self.offsets[index + 1]].decode("utf-8", ERRORS)

    def variables(self, index: int) -> tuple[str, ...]:
        """The variables of one message, as text."""
        return tuple(
            self.buffer[begin:end].decode("utf-8", ERRORS)
            for begin, end in self.spans[self.first[index] : self.first[index + 1]].tolist()
        )

    def counts(self) -> Counter[int]:
        """How often each template occurs in the batch."""
        ids, counts = np.unique(self.ids, return_counts=True)
        return Counter(dict(zip(ids.tolist(), counts.tolist(), strict=True)))

    def counts_by(self, *columns: Sequence[str]) -> Counter[tuple[int | str, ...]]:
        """How often each (template, level, service, …) occurs; `columns` run along the messages."""
        return Counter(zip(self.ids.tolist(), *columns, strict=True))


def render(template: Template, variables: Sequence[str]) -> str:
    """The message a template and its variables stand for; the inverse of mining, exactly."""
    pieces = template.pieces
    if len(variables) != len(pieces) - 1:
        raise ValueError(
            f"template {template.id} has {len(pieces) - 1} variables, {len(variables)} were given"
        )
    out = [pieces[0]]
    for value, piece in zip(variables, pieces[1:], strict=True):
        out += (value, piece)
    return "".join(out)
