"""The renamed files of a path: which of them are still to be read, and in which order. Looks at names and at stat(2); opens nothing for good.

A generation is told by its cursor, wherever in the folder it went (its name begins as the path's does), or, when
the agent never met it, by the endings that rotation gives: `app.log.1`, `app.log-20261122`, `app.log.old`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from weatherglass.agent.tail.cursor import Cursor, Identity, identity, same_head

HISTORY_NS = 3_600_000_000_000
"""A renamed file that rested this long before its path was first met is history: not read."""
PACKED = (".gz", ".xz", ".bz2", ".zst")

_ENDING = re.compile(r"[.-](?:old|\d[\dT:._-]*)")


class Sibling(NamedTuple):
    """A file beside a path that may have had its name."""

    path: str
    identity: Identity
    mtime_ns: int
    size: int
    renamed: bool  # has the path's whole name, and an ending of rotation's


def siblings(path: str) -> list[Sibling]:
    """All that may once have been `path`: files of its folder, not packed, whose names have its stem."""
    folder, name = os.path.split(path)
    stem = name.partition(".")[0]
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone
    except OSError:
        return []
    found = []
    for other in names:
        if other == name or other.endswith(PACKED) or not other.startswith(stem):
            continue
        told = identity(f"{folder}/{other}")
        if told is not None:
            renamed = other.startswith(name) and _ENDING.fullmatch(other[len(name) :]) is not None
            found.append(Sibling(f"{folder}/{other}", told[0], told[1].st_mtime_ns, told[1].st_size, renamed))
    return found


def unread(
    beside: Sequence[Sibling],
    kept: Mapping[Identity, Cursor],
    passed_over: Collection[Identity],
    since_ns: int | None,
) -> list[str]:
    """Paths of the generations that are still to be read, oldest first.

    `kept`: the path's cursors, in the order in which its files were met. `passed_over`: files that are open
    already. `since_ns`: those without a cursor are read when they were written then or later;
    None: they are not, since the path's file itself was met before.
    """
    rank = {known: place for place, known in enumerate(kept)}
    found = []
    for one in beside:
        if one.identity in passed_over:
            continue
        cursor = kept.get(one.identity)
        if cursor is not None and _is(one, cursor):
            # The last one always: its writer may not have noticed yet that it lost its name.
            if one.size > cursor.offset or rank[one.identity] == len(rank) - 1:
                found.append((rank[one.identity], one.mtime_ns, one.path))
        elif one.renamed and since_ns is not None and one.mtime_ns >= since_ns:
            found.append((len(rank), one.mtime_ns, one.path))
    return [path for _, _, path in sorted(found)]


def _is(one: Sibling, cursor: Cursor) -> bool:
    """Whether a file is the cursor's, and not another one that got its inode."""
    if one.size < cursor.offset:
        return False
    try:
        fd = os.open(one.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return same_head(fd, cursor.head_bytes, cursor.head_crc)
    finally:
        os.close(fd)
