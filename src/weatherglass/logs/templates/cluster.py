"""Rows of one structure → clusters, each to become a template: which words are fixed, which vary.

The question at every token is whether the words seen there are one template's variable or the fixed words of
several. The evidence: how many words stand there while all else is equal (`siblings`); whether they look like
values (digits, empty, yes/no) or like constants (CAPITALS, a line's first word); whether the word before takes the
same values in other templates. Merging only goes forward: what was once one template never falls apart.
Pure; `Evidence` is the only thing that is remembered, and the caller's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from zlib import crc32

from weatherglass.logs.templates.rows import VAR, Row

WORDS: Final = 6
"""Words that must have stood at a place, all else equal, for it to vary."""
VALUES: Final = 5
"""The same behind `=`, `:`, a quote or a bracket."""
CAPITALS: Final = 12
"""The same for WORDS_IN_CAPITALS: states and kinds are written so, and are worth a template each."""
BEGINNING: Final = 24
"""The same for a message's first word."""
POOL: Final = 4
"""Words known to follow a word in other templates that make two enough."""
TAILS: Final = 4
"""Texts of different length that must have stood behind the same words and a colon, from one logger, to be free;
without a colon one more, behind two words only two more."""
CROWD: Final = 128
"""Clusters in one structure beyond which places with many words are taken to vary."""

TRUTHS: Final = frozenset(["true", "false", "null", "none", "yes", "no", "on", "off", "nil", "nan", "n/a"])
_DIGITS = re.compile(r"\d+")
_NOT_LETTERS = re.compile(r"[\W\d_]+")

Pattern = tuple[str | None, ...]
"""A shape a token; None where any token may stand."""


@dataclass(slots=True, eq=False)
class Cluster:
    pattern: Pattern
    delims: tuple[str | None, ...]
    values: list[set[str]]
    rows: list[Row]
    soft: tuple[bool, ...]


@dataclass(slots=True)
class Evidence:
    """What words were seen where, over all structures of a group: (word before, delimiter) → place → words."""

    places: dict[tuple[str, str], dict[int, set[str]]] = field(default_factory=dict)
    fresh: set[tuple[str, str]] = field(default_factory=set)
    """Contexts that learned of a new place since this was last emptied."""

    def tell(self, context: tuple[str, str], place: int, words: set[str]) -> None:
        places = self.places.get(context)
        if places is None:
            if len(self.places) >= 20_000:
                return
            places = self.places[context] = {}
        known = places.get(place)
        if known is None:
            if len(places) >= 64:
                return
            known = places[place] = set()
        if len(known) < 64 and not words <= known:
            known |= words
            self.fresh.add(context)

    def agrees(self, context: tuple[str, str], place: int, words: set[str]) -> bool:
        """Whether other templates have the same word before, several words behind it, and one of these among them."""
        pool, shared = set(words), False
        for other, known in self.places.get(context, {}).items():
            if other != place and len(known) > 1:
                pool |= known
                shared = shared or not known.isdisjoint(words)
        return shared and len(pool) >= POOL


def single(row: Row) -> Cluster:
    return Cluster(row.shapes, row.delims, [{shape} for shape in row.shapes], [row], row.soft)


def unite(clusters: Sequence[Cluster]) -> Cluster:
    """One cluster of several: places where they differ vary from now on."""
    first = clusters[0]
    values = [set().union(*(c.values[i] for c in clusters)) for i in range(len(first.pattern))]
    patterns = [{c.pattern[i] for c in clusters} for i in range(len(first.pattern))]
    rows = [row for c in clusters for row in c.rows]
    pattern = tuple(next(iter(seen)) if len(seen) == 1 else None for seen in patterns)
    for seen in values:
        while len(seen) > 2 * CROWD:
            seen.pop()
    delims = tuple(
        first.delims[i] if all(c.delims[i] == first.delims[i] for c in clusters) else None
        for i in range(len(first.delims))
    )
    return Cluster(pattern, delims, values, rows, first.soft)


def residue(shape: str) -> str:
    """The letters of a shape."""
    return _NOT_LETTERS.sub("", shape)


def key_of(shape: str | None) -> str:
    """What a token is compared by: values are all alike, unless words are part of them."""
    if shape is None:
        return VAR
    return VAR if VAR in shape and len(residue(shape)) <= 2 else shape


def in_value_place(cluster: Cluster, place: int) -> bool:
    before = cluster.rows[0].delims[place]
    return bool(place and before) and (before[-1] in "=:'\"([<" or before.rstrip()[-1:] in ("=", ":"))


def context_of(cluster: Cluster, place: int) -> tuple[str, str] | None:
    """The fixed word before a place and what parts them."""
    before = cluster.pattern[place - 1] if place else None
    return None if before is None or VAR in before else (before, cluster.rows[0].delims[place].strip())


def _capitals(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def varies(siblings: Sequence[Cluster], place: int, evidence: Evidence, *, alone: bool = True) -> bool:
    """Whether the clusters, equal at all places but this (or, not `alone`, but this and another), are one template."""
    values = set().union(*(c.values[place] for c in siblings))
    if len(values) < 2:
        return True
    words = {value for value in values if VAR not in value and value not in ("", "[]", "{}")}
    valued = in_value_place(siblings[0], place) and alone
    if not words:
        letters = {text for text in map(residue, values) if len(text) > 2}
        return len(letters) <= 1 or len(letters) >= (VALUES if valued else WORDS)
    if all(value.lower() in TRUTHS or value == VAR for value in values):
        return True
    if alone:
        context = context_of(siblings[0], place)
        small = {word for word in words if not _capitals(word)}
        if context is not None and small:
            pattern = siblings[0].pattern
            where = crc32(repr((pattern[:place], pattern[place + 1 :])).encode("utf-8", "surrogatepass"))
            evidence.tell(context, where, small)
            if evidence.agrees(context, where, small):
                return True
    if len(words) < len(values) or all(any(c.isdigit() for c in word) for word in words):
        return True
    if all(map(_capitals, words)):
        return len(words) >= CAPITALS
    if place == 0:
        # One logger's messages that differ in the first word alone are one message; several programs' need not be.
        logger = siblings[0].rows[0].group
        known = logger and all(c.rows[0].group == logger for c in siblings)
        return len(words) >= (WORDS if known else BEGINNING)
    return len(words) >= (VALUES if valued else WORDS)


Key = tuple[str | None, ...]


def _groups(clusters: Iterable[Cluster], *but: int) -> list[list[Cluster]]:
    """The clusters that are equal at all places and delimiters but those."""
    found: dict[tuple[Key, Key], list[Cluster]] = defaultdict(list)
    for c in clusters:
        keys: list[str | None] = [key_of(shape) for shape in c.pattern]
        delims = list(c.delims)
        for place in but:
            keys[place] = delims[place] = None
        found[tuple(keys), tuple(delims)].append(c)
    return list(found.values())


def _softened(clusters: list[Cluster]) -> list[Cluster]:
    """`eth0` and `eth1` are `eth` and a number, once both were seen."""
    found: dict[object, list[Cluster]] = defaultdict(list)
    for c in clusters:
        keys = tuple(
            _DIGITS.sub(VAR, shape) if soft and shape is not None else shape
            for shape, soft in zip(c.pattern, c.soft, strict=True)
        )
        found[keys, c.delims].append(c)
    return [unite(same) if len(same) > 1 else same[0] for same in found.values()]


def _absorbed(clusters: list[Cluster]) -> list[Cluster]:
    """What a cluster with free places already covers goes into it."""
    wide = [c for c in clusters if None in c.pattern and any(key_of(shape) != VAR for shape in c.pattern)]
    if not wide:
        return clusters
    taken: dict[int, list[Cluster]] = {id(c): [c] for c in wide}
    left = []
    for c in clusters:
        if id(c) in taken:
            continue
        for w in wide:
            if all(a is None or a == b for a, b in zip(w.pattern, c.pattern, strict=True)) and all(
                a is None or a == b for a, b in zip(w.delims, c.delims, strict=True)
            ):
                taken[id(w)].append(c)
                break
        else:
            left.append(c)
    return [unite(same) if len(same) > 1 else same[0] for same in taken.values()] + left


def _alike(clusters: list[Cluster], evidence: Evidence) -> list[Cluster]:
    """Several places that vary at once: most of the words must be the same, and each place have many words."""
    if len(clusters) < WORDS:
        return clusters
    keys = {id(c): [key_of(shape) for shape in c.pattern] for c in clusters}
    # All with all: of very many the first, which will take in the others where they are like them.
    left, out = clusters[:CROWD], clusters[CROWD:]
    while left:
        base = left[0]
        mine = keys[id(base)]
        fixed = sum(1 for key in mine if key != VAR)
        near, free = [], set()
        for c in left:
            differ = {i for i, (a, b) in enumerate(zip(mine, keys[id(c)], strict=True)) if a != b}
            if len(differ) <= 3 and 2 * len(differ) <= fixed and c.delims == base.delims:
                near.append(c)
                free |= differ
        if (
            len(near) >= WORDS
            and len(free) <= 4
            and 2 + len(free) <= fixed
            and all(varies(near, place, evidence, alone=False) for place in free)
        ):
            out.append(unite(near))
            taken = {id(c) for c in near}
            left = [c for c in left if id(c) not in taken]
        else:
            out.append(left.pop(0))
    return out


def _pressed(clusters: list[Cluster]) -> list[Cluster]:
    """Too many to keep apart: places with more than 16 words vary, whatever they look like."""
    size = len(clusters[0].pattern)
    crowded = [place for place in range(size) if len({c.pattern[place] for c in clusters}) > 16]
    merged = [unite(same) if len(same) > 1 else same[0] for same in _groups(clusters, *crowded)]
    return merged if len(merged) <= CROWD else [unite(merged)]


def cluster(clusters: list[Cluster], evidence: Evidence) -> tuple[list[Cluster], bool]:
    """(the clusters merged as far as the evidence goes, whether by force).

    All of one structure. The result of an earlier call and singles of new rows may be given together.
    """
    if len(clusters) < 2 or not clusters[0].pattern:
        return clusters, False
    size = len(clusters[0].pattern)
    if len(clusters) * size > 40 * CROWD:
        # Long and many: comparing all places of all would take seconds.
        return _pressed(clusters), True
    while True:
        before = len(clusters)
        clusters = _softened(_absorbed(clusters))
        for place in range(size):
            one = clusters[0]
            if all(
                c.pattern[place] == one.pattern[place] and c.delims[place] == one.delims[place]
                for c in clusters
            ):
                continue
            out = []
            for same in _groups(clusters, place):
                if len(same) > 1 and varies(same, place, evidence):
                    out.append(unite(same))
                else:
                    out += same
            clusters = out
        if len(clusters) == before and len(clusters) > 2:
            clusters = _alike(clusters, evidence)
        if len(clusters) == before or len(clusters) == 1:
            break
    if len(clusters) > CROWD:
        return _pressed(clusters), True
    return clusters, False


class Prefix(NamedTuple):
    """A beginning behind which free text may stand, in the messages of one logger."""

    group: str
    parts: tuple[str, ...]
    needs: int
    """How many texts of different length (for NAMES: different names) make it free."""
    loose: bool = False
    """The word before the colon may be any."""


NAMES: Final = "\0name"
"""The one part of the beginning `name = `: any name."""


def separator(delim: str) -> int:
    """The end of a colon or equals sign and the blank behind it in a delimiter; 0 where there is none."""
    for sign in ":=":
        at = delim.find(sign)
        if at >= 0 and delim[at + 1 : at + 2].isspace():
            return at + 2
    return 0


def prefixes(c: Cluster) -> list[tuple[Prefix, int]]:
    """Where free text may begin, and at what token; the longest first.

    Only where the logger is known: one logger has few templates, so the same beginning is the same template.
    """
    group = c.rows[0].group
    if not group or len(c.pattern) < 2:
        return []
    out: list[tuple[Prefix, int]] = []
    words = 0
    parts: list[str] = []
    delims = c.rows[0].delims
    if delims[1].strip() == "=" and delims[1][:1].isspace() and separator(delims[1]):
        out.append((Prefix(group, (NAMES,), CAPITALS, True), 1))
    for place, shape in enumerate(c.pattern[:48]):
        delim = delims[place]
        end = separator(delim)
        if end and ":" in delim and words >= 2:
            if words >= 4 and parts[-1] != VAR:
                out.append((Prefix(group, (*parts[:-1], VAR, delim[:end]), 1 + TAILS, True), place))
            out.append((Prefix(group, (*parts, delim[:end]), TAILS if words > 2 else 2 + TAILS), place))
        elif words >= 3 and delim[:1].isspace():
            out.append((Prefix(group, (*parts, " "), 1 + TAILS), place))
        key = key_of(shape)
        words += (not delim or delim.isspace()) and key != VAR and any(char.isalpha() for char in key)
        parts += (" ".join(delim.split(" ")), key)
    return out[::-1]


Tail = tuple[str, ...]


def tail_of(c: Cluster, place: int) -> Tail:
    """What stands from a token on, values taken out; empty where that is too short to be known again."""
    return tuple(map(key_of, c.pattern[place:])) if len(c.pattern) - place >= 3 else ()


def is_free(prefix: Prefix, place: int, behind: Iterable[Cluster], known: Mapping[Tail, set[Prefix]]) -> bool:
    """Whether what stands behind a beginning is free text: much was seen there, or what is seen elsewhere too."""
    behind = list(behind)
    if prefix.parts[-1].strip() == ":":
        told = {tail for c in behind if (tail := tail_of(c, place)) and len(known.get(tail, ())) > 2}
        if len(told) > 1:
            return True
    if prefix.parts == (NAMES,):
        return len(set().union(*(c.values[0] for c in behind))) >= prefix.needs
    return len({len(c.pattern) for c in behind}) >= prefix.needs
