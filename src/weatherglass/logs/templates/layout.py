"""Clusters → one template's text and, for each, where its variables lie. Pure.

A cluster is laid out as fixed texts and slots. Where clusters of one template differ (a blank more, another number
of values in a list), everything between the fixed words around the difference becomes one slot, less what is the
same at both ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from weatherglass.kernels import tokens as kernel
from weatherglass.logs.templates.cluster import TRUTHS, Cluster, separator
from weatherglass.logs.templates.mined import ERRORS
from weatherglass.logs.templates.rows import VAR, Row

BEGIN: Final = -1
END: Final = -2
JOINERS: Final = frozenset("_-./@#$+*\\")
WORD: Final = "word"
TEXT: Final = "text"


class Ref(NamedTuple):
    """A byte of a message: from a token's BEGIN, its END, or the end of its value of that number."""

    token: int
    var: int
    delta: int


class Item(NamedTuple):
    text: str | None
    """None: a slot"""
    begin: Ref
    end: Ref
    types: frozenset[str]
    anchor: bool


@dataclass(frozen=True, slots=True)
class Layout:
    pieces: tuple[str, ...]
    types: tuple[str, ...]
    plans: list[list[int]]
    """One a cluster: six numbers a slot, as `kernels.miner.Entry` takes them."""


def shared_ends(values: set[str]) -> tuple[str, str]:
    """What all values begin and end with, cut where parts of a name meet: (`blk_`, ``) of `blk_a`, `blk_b`."""
    words = [value for value in values if value]
    if len(words) < len(values) or len(words) < 2:
        return "", ""
    size = len(commonprefix(words))
    while size and not all(
        word[size - 1] in JOINERS
        or (size < len(word) and word[size - 1].isalpha() and (word[size].isdigit() or word[size] == VAR))
        for word in words
    ):
        size -= 1
    prefix = words[0][:size]
    if VAR in prefix or prefix.endswith("-"):
        prefix = ""
    rest = [word[len(prefix) :] for word in words]
    tail = len(commonprefix([word[::-1] for word in rest]))
    while tail and not all(word[len(word) - tail] in JOINERS for word in rest):
        tail -= 1
    suffix = rest[0][len(rest[0]) - tail :] if tail else ""
    return prefix, "" if VAR in suffix else suffix


def commonprefix(texts: Sequence[str]) -> str:
    """What all texts begin with."""
    low, high = min(texts), max(texts)
    size = 0
    while size < len(low) and size < len(high) and low[size] == high[size]:
        size += 1
    return low[:size]


def _size(text: str) -> int:
    return len(text.encode("utf-8", ERRORS))


def is_anchor(shape: str | None) -> bool:
    """Whether a token is a fixed word by which templates of different structure can be laid on each other."""
    return (
        shape is not None
        and VAR not in shape
        and shape.lower() not in TRUTHS
        and any(char.isalpha() for char in shape)
    )


def _names(cluster: Cluster, place: int) -> frozenset[str]:
    """The types seen at a place that varies."""
    found = set()
    for row in cluster.rows:
        shape = row.shapes[place]
        if shape == VAR:
            found.add(kernel.NAMES[row.types[place][0]])
        elif shape:
            found.add(WORD)
    return frozenset(found or {WORD})


def free_places(cluster: Cluster) -> dict[int, tuple[str, str, frozenset[str]]]:
    """Place that varies → what all its values begin with, end with, their types. The same for every row, of which a
    cluster may have a thousand."""
    return {
        place: (*shared_ends(cluster.values[place]), _names(cluster, place))
        for place, shape in enumerate(cluster.pattern)
        if shape is None
    }


def items_of(
    cluster: Cluster,
    row: Row,
    upto: int,
    free: Mapping[int, tuple[str, str, frozenset[str]]],
    *,
    loose: bool = False,
) -> list[Item]:
    """One row of a cluster as texts and slots; no anchors from token `upto` on (`loose`: from the one before)."""
    out: list[Item] = []
    none: frozenset[str] = frozenset()
    last = len(row.shapes) - 1
    for place, shape in enumerate(cluster.pattern):
        if row.delims[place]:
            text = row.delims[place]
            parts = [text]
            if place == upto:
                # The sign before free text stands between what may vary before it and behind.
                signs = separator(text) or 1
                sign = max(signs - 2, 0)
                parts = [text[:sign], text[sign:signs], text[signs:]]
            left = _size(text)
            for order, part in enumerate(parts):
                if part:
                    begin = Ref(place, BEGIN, -left)
                    left -= _size(part)
                    out.append(Item(part, begin, Ref(place, BEGIN, -left), none, order == 1))
        if shape is None:
            prefix, suffix, names = free[place]
            head, tail = Ref(place, BEGIN, _size(prefix)), Ref(place, END, -_size(suffix))
            if prefix:
                out.append(Item(prefix, Ref(place, BEGIN, 0), head, none, False))
            out.append(Item(None, head, tail, names, False))
            if suffix:
                out.append(Item(suffix, tail, Ref(place, END, 0), none, False))
            continue
        at = Ref(place, BEGIN, 0)
        texts = shape.split(VAR)
        for number, text in enumerate(texts):
            if text:
                after = at._replace(delta=at.delta + _size(text))
                out.append(
                    Item(text, at, after, none, place < upto - loose and len(texts) == 1 and is_anchor(shape))
                )
                at = after
            if number < len(texts) - 1:
                after = Ref(place, number, 0)
                out.append(Item(None, at, after, frozenset({kernel.NAMES[row.types[place][number]]}), False))
                at = after
    if row.delims[-1]:
        text = row.delims[-1]
        end = Ref(last, END, _size(text))
        out.append(Item(text, Ref(last, END, 0), end, none, False))
    return out


def _split(items: list[Item]) -> tuple[list[list[Item]], list[Item]]:
    """(what stands between the anchors, the anchors)."""
    gaps: list[list[Item]] = [[]]
    anchors = []
    for item in items:
        if item.anchor:
            anchors.append(item)
            gaps.append([])
        else:
            gaps[-1].append(item)
    return gaps, anchors


def _text(gap: list[Item]) -> tuple[str | None, ...]:
    return tuple(item.text for item in gap)


def _ref(gap: list[Item], chars: int, *, back: bool) -> Ref:
    """The byte so many characters into a gap, or `back` from its end; all of them fixed."""
    left = chars
    for item in reversed(gap) if back else gap:
        if left == 0 or item.text is None:
            return item.end if back else item.begin
        if left < len(item.text):
            if back:
                return item.end._replace(delta=item.end.delta - _size(item.text[len(item.text) - left :]))
            return item.begin._replace(delta=item.begin.delta + _size(item.text[:left]))
        left -= len(item.text)
        if left == 0:
            return item.begin if back else item.end
    return gap[0].begin if back else gap[-1].end


def _outer(gap: list[Item], *, back: bool) -> str:
    """The fixed text at an end of a gap."""
    out: list[str] = []
    for item in reversed(gap) if back else gap:
        if item.text is None:
            break
        out.append(item.text[::-1] if back else item.text)
    return "".join(out)


def lay_out(
    clusters: Sequence[tuple[Cluster, Row]], upto: int | None = None, *, loose: bool = False
) -> Layout | None:
    """One template of all; None where they cannot be one (other fixed words, a gap without a variable).

    With `upto`, all from that token on is free text: one variable, less what is the same in all.
    """
    limit = 1 << 30 if upto is None else upto
    free = {id(cluster): free_places(cluster) for cluster in {id(one): one for one, _ in clusters}.values()}
    parts = [
        _split(items_of(cluster, row, limit, free[id(cluster)], loose=loose)) for cluster, row in clusters
    ]
    words = [item.text for item in parts[0][1]]
    if any([item.text for item in anchors] != words for _, anchors in parts):
        return None
    pieces: list[str] = [""]
    types: list[str] = []
    plans: list[list[int]] = [[] for _ in parts]
    for number in range(len(words) + 1):
        gaps = [gap[number] for gap, _ in parts]
        if all(_text(gap) == _text(gaps[0]) for gap in gaps):
            for index, item in enumerate(gaps[0]):
                if item.text is not None:
                    pieces[-1] += item.text
                    continue
                for plan, gap in zip(plans, gaps, strict=True):
                    plan += (*gap[index].begin, *gap[index].end)
                types.append(_one({name for gap in gaps for name in gap[index].types}))
                pieces.append("")
        else:
            if upto is None and any(all(item.text is not None for item in gap) for gap in gaps):
                return None
            if not all(gaps):
                return None
            prefix = commonprefix([_outer(gap, back=False) for gap in gaps])
            if upto is not None and number == len(words) and any(map(str.isalnum, prefix)):
                # The words that all free texts of today begin with are no promise for tomorrow's.
                prefix = ""
            suffix = commonprefix([_outer(gap, back=True) for gap in gaps])
            if suffix.isspace():
                # Padding up to a column belongs to what is padded.
                suffix = suffix[0]
            for plan, gap in zip(plans, gaps, strict=True):
                plan += (*_ref(gap, len(prefix), back=False), *_ref(gap, len(suffix), back=True))
            types.append(_one({name for gap in gaps for item in gap for name in item.types}))
            pieces[-1] += prefix
            pieces.append(suffix[::-1])
        if number < len(words):
            pieces[-1] += words[number] or ""
    return Layout(tuple(pieces), tuple(types), plans)


def _one(names: set[str]) -> str:
    return next(iter(names)) if len(names) == 1 else TEXT


def signature(cluster: Cluster) -> tuple[str | bool, ...] | None:
    """What clusters of different structure share that are one template: the fixed words, and whether values stand
    between them. None where there are too few words to tell."""
    out: list[str | bool] = []
    gap = False
    words = 0
    for shape in cluster.pattern:
        if is_anchor(shape):
            out += (gap, shape or "")
            words += 1
            gap = False
        else:
            gap = gap or shape is None or VAR in shape
    return (*out, gap) if words > 1 and any(item is True for item in (*out, gap)) else None
