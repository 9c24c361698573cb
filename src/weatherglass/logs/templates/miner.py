"""The streaming miner: what is known is matched by the kernel, what is new is learnt, batch by batch.

Here: what is remembered (rows, clusters, templates, aliases), its bounds, when clusters are looked at again.
Not here: the judgement (`cluster`), a template's text (`layout`), the bytes of a state (`state`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from weatherglass.kernels.miner import Matcher
from weatherglass.logs.templates.cluster import Cluster, Evidence, cluster, context_of, single
from weatherglass.logs.templates.layout import TEXT, lay_out, signature
from weatherglass.logs.templates.mined import ERRORS, Mined, Template, Variable
from weatherglass.logs.templates.rows import Row, read_row

MOST_ROWS: Final = 100_000
MOST_GROUPS: Final = 10_000
MOST_STRUCTURES: Final = 2_000
"""Of one group."""
REST: Final = ""
"""The group of what comes from more loggers than MOST_GROUPS."""

Signature = tuple[str | bool, ...]


def id_of(group: str, pieces: Sequence[str]) -> int:
    """63 bits of the group and the text: the same on every node and after every restart."""
    text = "\0\1".join((group, *pieces)).encode("utf-8", ERRORS)
    return (int.from_bytes(blake2b(text, digest_size=8).digest(), "little") >> 1) or 1


@dataclass(slots=True)
class Bucket:
    """All clusters of one structure in one group."""

    clusters: list[Cluster] = field(default_factory=list)
    fresh: list[Row] = field(default_factory=list)
    rows: int = 0
    looked: int = 0
    """How many rows there were when the clusters were formed last."""


@dataclass(slots=True)
class Group:
    name: str
    number: int
    buckets: dict[int, Bucket] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    interested: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Context → the structures that have undecided words there."""
    families: dict[Signature, dict[int, list[Cluster]]] = field(default_factory=lambda: defaultdict(dict))


@dataclass(slots=True)
class Told:
    """What was given up so that memory stays bounded."""

    pressed: int = 0
    """structures whose words were taken to vary because there were too many"""
    overflowed: int = 0
    """messages kept as one variable because nothing new could be remembered"""


class Miner:
    """Not safe from threads: one owner. Ids and texts depend on nothing but the messages."""

    def __init__(self) -> None:
        self._matcher = Matcher()
        self._groups: dict[str, Group] = {}
        self._numbers: dict[str, int] = {}
        self._templates: dict[int, Template] = {}
        self._aliases: dict[int, int] = {}
        self._counts: dict[int, int] = defaultdict(int)
        self._rows: dict[tuple[int, int], Row] = {}
        self.told = Told()

    # --- use ---

    def add(self, groups: Sequence[str], messages: Sequence[str]) -> Mined:
        """Learns from the messages and gives their templates and variables; `groups` are loggers, or all ""."""
        texts = messages if isinstance(messages, list) else list(messages)
        found = self._matcher.match(groups, texts, self._numbers, None)
        if found[5]:
            self._learn(groups, texts, found[5])
            found = self._matcher.match(groups, texts, self._numbers, self._overflow)
        mined = Mined(*found[:5])
        for number, count in mined.counts().items():
            self._counts[number] += count
        return mined

    def template(self, id: int) -> Template:
        """The template that had this id, if it is one of today's or of before. Raises KeyError."""
        return self._templates[id]

    def alias(self, id: int) -> int:
        """The id today of a template that was given `id`: itself, or the wider one it went into."""
        seen = id
        while seen in self._aliases:
            seen = self._aliases[seen]
        return seen

    def aliases(self) -> dict[int, int]:
        """All ids that are no longer given, and what stands for them."""
        return {id: self.alias(id) for id in self._aliases}

    def templates(self) -> list[tuple[Template, int]]:
        """Today's templates with the counts of all they stand for, most frequent first."""
        counts: dict[int, int] = defaultdict(int)
        for id, count in self._counts.items():
            counts[self.alias(id)] += count
        found = [(self._templates[id], count) for id, count in counts.items()]
        return sorted(found, key=lambda one: (-one[1], one[0].group, one[0].text))

    # --- learning ---

    def _overflow(self, group: str, index: int) -> int:
        self.told.overflowed += 1
        pieces = ("", "")
        id = id_of(REST, pieces)
        self._templates.setdefault(id, Template(id, REST, pieces, (Variable(TEXT),)))
        return id

    def _group(self, name: str) -> Group | None:
        group = self._groups.get(name)
        if group is None:
            if len(self._groups) >= MOST_GROUPS:
                return None
            group = self._groups[name] = Group(name, len(self._groups))
            self._numbers[name] = group.number
        return group

    def _learn(self, groups: Sequence[str], messages: list[str], misses: list[int]) -> None:
        dirty: dict[str, set[int]] = defaultdict(set)
        for index in misses:
            group = self._group(groups[index])
            if group is None or len(self._rows) >= MOST_ROWS:
                continue
            message = messages[index].encode("utf-8", ERRORS)
            looks = self._matcher.look(message)
            if (group.number, looks[0]) in self._rows:
                continue
            bucket = group.buckets.get(looks[1])
            if bucket is None:
                if len(group.buckets) >= MOST_STRUCTURES:
                    continue
                bucket = group.buckets[looks[1]] = Bucket()
            row = read_row(message, looks)
            self._rows[group.number, row.whole] = row
            bucket.fresh.append(row)
            bucket.rows += 1
            dirty[group.name].add(row.structure)
        for name, structures in dirty.items():
            self._refine(self._groups[name], structures)

    def _refine(self, group: Group, structures: set[int]) -> None:
        """Clusters again where rows came, and where evidence from elsewhere came with them."""
        changed: set[Signature] = set()
        alone: list[tuple[Cluster, Row]] = []
        again = structures
        for _ in range(3):
            for structure in sorted(again):
                bucket = group.buckets[structure]
                before = {id(c) for c in bucket.clusters}
                clusters = bucket.clusters + [single(row) for row in bucket.fresh]
                after, pressed = cluster(clusters, group.evidence)
                self.told.pressed += pressed
                bucket.fresh = []
                for c in bucket.clusters:
                    self._leave(group, structure, c, changed)
                bucket.clusters = after
                for c in after:
                    mark = signature(c)
                    if mark is None:
                        if id(c) not in before:
                            alone.append((c, c.rows[0]))
                    else:
                        group.families[mark].setdefault(structure, []).append(c)
                        if id(c) not in before:
                            changed.add(mark)
                if len(after) > 1:
                    for c in after:
                        for place, shape in enumerate(c.pattern):
                            context = context_of(c, place)
                            if context is not None and shape is not None:
                                group.interested[context].add(structure)
            again = set()
            for context in group.evidence.fresh:
                again |= group.interested.get(context, set())
            group.evidence.fresh.clear()
            if not again:
                break
        for c, _ in alone:
            if any(c is one for one in group.buckets[c.rows[0].structure].clusters):
                self._publish(group, [c])
        for mark in sorted(changed, key=repr):
            family = group.families.get(mark)
            if family:
                self._publish(group, [c for _, several in sorted(family.items()) for c in several])

    def _leave(self, group: Group, structure: int, c: Cluster, changed: set[Signature]) -> None:
        mark = signature(c)
        if mark is not None and structure in group.families[mark]:
            left = [one for one in group.families[mark][structure] if one is not c]
            if left:
                group.families[mark][structure] = left
            else:
                del group.families[mark][structure]

    def _publish(self, group: Group, clusters: list[Cluster]) -> None:
        """Gives clusters of one signature their template and tells the matcher."""
        layout = lay_out([(c, row) for c in clusters for row in c.rows])
        if layout is None:
            if len(clusters) > 1:
                for c in clusters:
                    self._publish(group, [c])
                return
            # Blanks that differ where no variable is near: each row is a template of its own.
            for row in clusters[0].rows:
                self._publish(group, [single(row)])
            return
        id = id_of(group.name, layout.pieces)
        if id not in self._templates:
            self._templates[id] = Template(id, group.name, layout.pieces, tuple(map(Variable, layout.types)))
        self._aliases.pop(id, None)
        texts = [piece.encode("utf-8", ERRORS) for piece in layout.pieces]
        plans = iter(layout.plans)
        for c in clusters:
            wide = None in c.pattern
            for number, row in enumerate(c.rows):
                plan = next(plans)
                old, row.id = row.id, id
                if old != id:
                    self._matcher.add_exact(group.number, row.whole, id, plan, texts)
                    if old:
                        self._retire(old, id)
                if wide and number == 0:
                    fixed = [
                        0 if shape is None else hash
                        for shape, hash in zip(c.pattern, row.hashes, strict=True)
                    ]
                    self._matcher.add_free(group.number, row.structure, fixed, id, plan, texts)

    def _retire(self, old: int, new: int) -> None:
        if self.alias(new) != old:
            self._aliases[old] = new
