"""The streaming miner: what is known is matched by the kernel, what is new is learnt, batch by batch.

Here: what is remembered (rows, clusters, templates, aliases), its bounds, when clusters are looked at again.
Not here: the judgement (`cluster`), a template's text (`layout`), the bytes of a state (`state`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from weatherglass.kernels.miner import Matcher
from weatherglass.logs.templates.cluster import (
    Cluster,
    Evidence,
    Prefix,
    Tail,
    cluster,
    context_of,
    is_free,
    prefixes,
    single,
    tail_of,
)
from weatherglass.logs.templates.layout import TEXT, lay_out, signature
from weatherglass.logs.templates.mined import ERRORS, Mined, Template, Variable
from weatherglass.logs.templates.rows import read_row

KEEP: Final = 24
"""Rows that are kept of a cluster with free places."""
FAMILY: Final = 64
"""Clusters of one template that are laid out when another comes."""
MOST_ROWS: Final = 50_000
MOST_STRUCTURES: Final = 20_000
MOST_OLD: Final = 100_000
"""Templates of before that are kept for `template`; the oldest go first."""

Home = tuple[str, object]
"""What a cluster shares its template with: ("words", signature), ("text", prefix) or ("own", itself)."""


def id_of(pieces: Sequence[str]) -> int:
    """53 bits of the text, so that it is a number in JSON too: the same on every node and after every restart."""
    text = "\0\1".join(pieces).encode("utf-8", ERRORS)
    return (int.from_bytes(blake2b(text, digest_size=8).digest(), "little") >> 11) or 1


REST: Final = Template(id_of(("", "")), "", ("", ""), (Variable(TEXT),))
"""The whole message as one variable: of what is new when nothing new can be remembered."""


@dataclass(slots=True)
class Told:
    """What was given up so that memory and time stay bounded."""

    pressed: int = 0
    """times that words were taken to vary because there were too many of one structure"""
    overflowed: int = 0
    """messages kept as one variable"""


@dataclass(slots=True)
class Memory:
    """All that the miner knows; `state` writes and reads it."""

    buckets: dict[int, list[Cluster]] = field(default_factory=dict)
    """Structure → its clusters."""
    evidence: Evidence = field(default_factory=Evidence)
    free: set[Prefix] = field(default_factory=set)
    """Beginnings behind which stands free text."""
    templates: dict[int, Template] = field(default_factory=lambda: {REST.id: REST})
    aliases: dict[int, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class Miner:
    """Not safe from threads: one owner. Ids and texts depend on nothing but the messages."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.told = Told()
        self._forget_index()

    def _forget_index(self) -> None:
        self._matcher = Matcher()
        self._wholes: set[int] = set()
        self._rows = 0
        self._users: dict[int, int] = defaultdict(int)
        """Template → how many rows are of it."""
        self._homes: dict[Home, dict[int, Cluster]] = defaultdict(dict)
        self._behind: dict[Prefix, dict[int, Cluster]] = defaultdict(dict)
        self._tails: dict[Tail, set[Prefix]] = defaultdict(set)
        self._free: dict[int, int] = {}
        self._interested: dict[tuple[str, str], set[int]] = defaultdict(set)

    # --- use ---

    def add(self, groups: Sequence[str], messages: Sequence[str]) -> Mined:
        """Learns from the messages and gives their templates and variables; `groups` are their loggers, "" unknown."""
        texts = messages if isinstance(messages, list) else list(messages)
        found = self._matcher.match(texts, 0)
        if found[5]:
            self._learn(groups, texts, found[5])
            found = self._matcher.match(texts, REST.id)
            self.told.overflowed += len(found[5])
        mined = Mined(*found[:5])
        for id, count in mined.counts().items():
            self.memory.counts[id] += count
        return mined

    def match(self, messages: Sequence[str]) -> Mined:
        """Today's templates and variables of messages, without learning from them or counting them.

        What was learnt from once is found again; anything else unknown is of the template `<*>`.
        """
        texts = messages if isinstance(messages, list) else list(messages)
        return Mined(*self._matcher.match(texts, REST.id)[:5])

    def state(self) -> bytes:
        """All that is known, for `load`."""
        from weatherglass.logs.templates.state import encode

        return encode(self.memory)

    @classmethod
    def load(cls, data: bytes) -> Miner:
        """A miner that knows what the one whose `state` this is knew: the same ids, texts, counts. Raises Invalid."""
        miner = cls()
        miner.merge(data)
        return miner

    def merge(self, data: bytes) -> None:
        """Takes in what another miner knew; where the two together know better, ids of both become aliases."""
        from weatherglass.logs.templates.state import decode

        other = decode(data)
        mine = self.memory
        for id, template in other.templates.items():
            mine.templates.setdefault(id, template)
        for id, count in other.counts.items():
            mine.counts[id] += count
        for old, new in other.aliases.items():
            if self._users.get(old, 0) == 0:
                mine.aliases.setdefault(old, new)
        for context, places in other.evidence.places.items():
            for place, words in places.items():
                mine.evidence.tell(context, place, words)
        mine.free |= other.free
        for clusters in other.buckets.values():
            for c in clusters:
                for row in c.rows:
                    self._users[row.id] += 1
                    self._wholes.add(row.whole)
                    self._rows += 1
        if mine.buckets:
            self.refine(dict(other.buckets))
        else:
            # Nothing to weigh against: what was judged stays as it was.
            mine.buckets = other.buckets
            for structure, clusters in mine.buckets.items():
                for c in clusters:
                    self._enter(structure, c, undecided=len(clusters) > 1)
            mine.evidence.fresh.clear()
            self._settle([c for clusters in mine.buckets.values() for c in clusters])
        for id in [id for id in mine.aliases if self._users.get(id, 0) > 0]:
            del mine.aliases[id]

    def template(self, id: int) -> Template:
        """The template that had this id, if it is one of today's or of before. Raises KeyError."""
        return self.memory.templates[id]

    def alias(self, id: int) -> int:
        """The id today of a template that was given `id`: itself, or the wider one it went into."""
        seen = {id}
        while id in self.memory.aliases and self.memory.aliases[id] not in seen:
            id = self.memory.aliases[id]
            seen.add(id)
        return id

    def aliases(self) -> dict[int, int]:
        """All ids that are no longer given, and what stands for them."""
        return {id: self.alias(id) for id in self.memory.aliases}

    def templates(self) -> list[tuple[Template, int]]:
        """Today's templates with the counts of all they stand for, most frequent first."""
        counts: dict[int, int] = defaultdict(int)
        for id, count in self.memory.counts.items():
            counts[self.alias(id)] += count
        found = [(self.memory.templates[id], count) for id, count in counts.items()]
        return sorted(found, key=lambda one: (-one[1], one[0].text))

    # --- learning ---

    def _learn(self, groups: Sequence[str], messages: list[str], misses: list[int]) -> None:
        fresh: dict[int, list[Cluster]] = defaultdict(list)
        for index in misses:
            if self._rows >= MOST_ROWS:
                break
            message = messages[index].encode("utf-8", ERRORS)
            looks = self._matcher.look(message)
            if looks[0] in self._wholes:
                continue
            if (
                looks[1] not in self.memory.buckets
                and len(self.memory.buckets) + len(fresh) >= MOST_STRUCTURES
            ):
                continue
            row = read_row(message, looks, groups[index])
            self._wholes.add(row.whole)
            self._rows += 1
            fresh[row.structure].append(single(row))
        self.refine(fresh)

    def refine(self, fresh: dict[int, list[Cluster]]) -> None:
        """Takes clusters in, each under its structure; looks again where they, or evidence that came with them,
        may have changed the judgement."""
        changed: dict[int, Cluster] = {}
        again: Iterable[int] = fresh
        for _ in range(3):
            for structure in sorted(again):
                before = self.memory.buckets.get(structure, [])
                kept = {id(c) for c in before}
                after, pressed = cluster(before + fresh.pop(structure, []), self.memory.evidence)
                self.told.pressed += pressed
                now = {id(c) for c in after}
                for c in before:
                    if id(c) not in now:
                        self._leave(c)
                        changed.pop(id(c), None)
                self.memory.buckets[structure] = after
                for c in after:
                    if id(c) not in kept:
                        self._enter(structure, c, undecided=len(after) > 1)
                        changed[id(c)] = c
            again = set()
            for context in self.memory.evidence.fresh:
                again |= self._interested.get(context, set())
            self.memory.evidence.fresh.clear()
            if not again:
                break
        self._settle(changed.values())

    def _enter(self, structure: int, c: Cluster, *, undecided: bool) -> None:
        for prefix, place in prefixes(c):
            self._behind[prefix][id(c)] = c
            if prefix.parts[-1].strip() == ":" and not prefix.loose and len(self._tails) < MOST_ROWS:
                tail = tail_of(c, place)
                if tail:
                    self._tails[tail].add(prefix)
        mark = signature(c)
        if mark is not None:
            self._homes["words", mark][id(c)] = c
        if undecided:
            for place, shape in enumerate(c.pattern):
                context = context_of(c, place)
                if context is not None and shape is not None:
                    self._interested[context].add(structure)

    def _leave(self, c: Cluster) -> None:
        for prefix, _ in prefixes(c):
            self._behind[prefix].pop(id(c), None)
        self._homes["words", signature(c)].pop(id(c), None)
        entry = self._free.pop(id(c), None)
        if entry is not None:
            self._matcher.drop(entry)

    def _settle(self, changed: Iterable[Cluster]) -> None:
        """Gives every home that changed its template."""
        todo = list(changed)
        for c in list(todo):
            # What came may make known what already stood elsewhere.
            for prefix, place in prefixes(c):
                for other in self._tails.get(tail_of(c, place), ()):
                    if other != prefix and other not in self.memory.free:
                        todo += list(self._behind[other].values())[:1]
        for c in todo:
            for prefix, place in prefixes(c):
                if prefix not in self.memory.free and is_free(
                    prefix, place, self._behind[prefix].values(), self._tails
                ):
                    self.memory.free.add(prefix)
                    todo += self._behind[prefix].values()
        homes: dict[Home, dict[int, Cluster]] = defaultdict(dict)
        for c in todo:
            homes[self._home(c)][id(c)] = c
        for home, some in homes.items():
            kind, what = home
            if kind == "own":
                self._publish(list(some.values()), None)
                continue
            # A mark is any value; a prefix is looked for by what it is.
            near = self._behind[what[0]] if kind == "text" else self._homes[home]  # type: ignore[index]
            others = [c for key, c in near.items() if key not in some and self._home(c) == home]
            free = what if kind == "text" else None
            # Of many only some are laid out, as long as that tells nothing new.
            if len(others) <= FAMILY or not self._publish(
                [*others[:FAMILY], *some.values()], free, only=others[0]
            ):
                self._publish([*others, *some.values()], free)

    def _home(self, c: Cluster) -> Home:
        for prefix, place in prefixes(c):
            if prefix in self.memory.free:
                return "text", (prefix, place)
        mark = signature(c)
        return ("own", id(c)) if mark is None else ("words", mark)

    def _publish(self, clusters: list[Cluster], free: Any, *, only: Cluster | None = None) -> bool:
        """Gives clusters of one home their template and tells the matcher; `free` is (prefix, place) of free text.

        With `only`, nothing is done and False given if that were another template than the one this cluster has.
        """
        clusters = sorted(clusters, key=lambda c: (c.rows[0].structure, c.rows[0].whole))
        prefix, upto = free or (None, None)
        lines = [(c, row) for c in clusters for row in c.rows]
        layout = lay_out(lines, upto, loose=prefix is not None and prefix.loose)
        if only is not None and (layout is None or id_of(layout.pieces) != only.rows[0].id):
            return False
        if layout is None:
            if len(clusters) > 1:
                for c in clusters:
                    self._publish([c], free)
            elif free is not None:
                self._publish(clusters, None)
            else:
                # Blanks that differ where no variable is near: each row is a template of its own.
                for row in clusters[0].rows:
                    self._publish([single(row)], None)
            return True
        id = id_of(layout.pieces)
        memory = self.memory
        if id not in memory.templates:
            memory.templates[id] = Template(
                id, clusters[0].rows[0].group, layout.pieces, tuple(map(Variable, layout.types))
            )
        memory.aliases.pop(id, None)
        texts = [piece.encode("utf-8", ERRORS) for piece in layout.pieces]
        plans = iter(layout.plans)
        for c in clusters:
            for number, row in enumerate(c.rows):
                plan = next(plans)
                if row.id != id or row.entry < 0:
                    if row.entry >= 0:
                        self._matcher.drop(row.entry)
                    row.entry = self._matcher.add_exact(row.whole, id, plan, texts)
                if row.id != id:
                    old, row.id = row.id, id
                    self._users[id] += 1
                    self._let_go(old, id)
                if number == 0 and None in c.pattern:
                    fixed = [
                        0 if shape is None else hash
                        for shape, hash in zip(c.pattern, row.hashes, strict=True)
                    ]
                    entry = self._free.pop(_key(c), None)
                    if entry is not None:
                        self._matcher.drop(entry)
                    self._free[_key(c)] = self._matcher.add_free(row.structure, fixed, id, plan, texts)
            if None in c.pattern:
                for row in c.rows[KEEP:]:
                    # The free places speak for it. Were they not to, it would be met, and learnt, again.
                    self._matcher.drop(row.entry)
                    self._wholes.discard(row.whole)
                    self._rows -= 1
                    self._users[id] -= 1
                del c.rows[KEEP:]
        return True

    def _let_go(self, old: int, new: int) -> None:
        """A row went from one template to another; the one that lost its last row is an alias from now on."""
        if not old:
            return
        self._users[old] -= 1
        if self._users[old] <= 0 and self.alias(new) != old:
            self.memory.aliases[old] = new
            if len(self.memory.templates) > MOST_OLD:
                gone = next(iter(self.memory.aliases))
                del self.memory.aliases[gone]
                self.memory.templates.pop(gone, None)


def _key(c: Cluster) -> int:
    return id(c)
