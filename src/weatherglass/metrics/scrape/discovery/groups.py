"""What discovery finds: groups of targets, each with a source by which a later finding replaces it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

Labels = Mapping[str, str]


class Group(NamedTuple):
    """Targets of one source, as label sets with `__address__`; labels with `__meta_` are for relabelling alone."""

    source: str
    targets: tuple[Labels, ...]


class Finding(NamedTuple):
    """What one look came to.

    `groups` replace those of the same source; sources in `kept` could not be asked and stay as they were (with why);
    what is in neither is gone. `again_s` is when to look again (a TTL, where TTLs are honoured), 0 for the usual.
    """

    groups: tuple[Group, ...]
    kept: Mapping[str, str] = {}
    again_s: float = 0.0


class Discovery(Protocol):
    """One configured discovery. `look` may block for its timeout; it raises nothing that it can put in `kept`."""

    @property
    def every_s(self) -> float: ...

    def look(self) -> Finding: ...


def merged(before: Mapping[str, Group], found: Finding) -> dict[str, Group]:
    """All groups after a look: found ones new, those of `kept` sources as before, the rest gone."""
    after = {group.source: group for group in found.groups}
    for source in found.kept:
        if source in before and source not in after:
            after[source] = before[source]
    return after
