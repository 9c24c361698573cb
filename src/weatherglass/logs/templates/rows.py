"""A message's looks: its tokens with the values taken out. The unit that clustering works on.

Every message with the same row is of one template. Here: the value and how it is read from the kernel's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from weatherglass.logs.templates.mined import ERRORS

VAR: Final = "\0"
"""Stands in a shape for a value. NUL parts tokens, so no token holds one of its own."""


@dataclass(slots=True, eq=False)
class Row:
    """`delims[i]` stands before token `i`, the last of them behind all; `shapes[i]` is the token, values as VAR."""

    whole: int
    structure: int
    delims: tuple[str, ...]
    shapes: tuple[str, ...]
    soft: tuple[bool, ...]
    types: tuple[tuple[int, ...], ...]
    hashes: tuple[int, ...]
    group: str = ""
    """The logger that it was first seen from; "" where none is known."""
    id: int = 0
    """The template it is of now."""
    entry: int = -1
    """Its number in the matcher."""


def read_row(message: bytes, looks: tuple[int, int, bool, Sequence[Any]], group: str) -> Row:
    """`looks` as `kernels.miner.Matcher.look` gives them."""
    whole, structure, _, tokens = looks
    delims: list[str] = []
    shapes: list[str] = []
    at = 0
    for begin, end, _, _, values in tokens:
        delims.append(message[at:begin].decode("utf-8", ERRORS))
        shape: list[str] = []
        at = begin
        for first, last, _ in values:
            shape += (message[at:first].decode("utf-8", ERRORS), VAR)
            at = last
        shape.append(message[at:end].decode("utf-8", ERRORS))
        shapes.append("".join(shape))
        at = end
    delims.append(message[at:].decode("utf-8", ERRORS))
    return Row(
        whole,
        structure,
        tuple(delims),
        tuple(shapes),
        tuple(token[3] for token in tokens),
        tuple(tuple(value[2] for value in token[4]) for token in tokens),
        tuple(token[2] for token in tokens),
        group,
    )
