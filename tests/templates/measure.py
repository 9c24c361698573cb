"""GA, FGA, PA and FTA as Loghub-2.0 defines them (Jiang et al., ISSTA 2024), and the data they are taken over."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

LOGHUB = Path(__file__).resolve().parents[3] / "shared" / "data" / "loghub"
SYSTEMS = ("Apache", "BGL", "HDFS", "Hadoop", "Linux", "OpenSSH", "OpenStack", "Zookeeper")
DIRECTIVE = re.compile(r"%(?:\((\w+)\))?[-#0 +]*\d*(?:\.\d+)?([sdrifxg%])")


class Scores(NamedTuple):
    ga: float
    """share of messages whose predicted group is exactly a true group"""
    fga: float
    """F1 of groups that are exactly right, over predicted and true groups"""
    pa: float
    """share of messages whose predicted template is the true one, letter for letter"""
    fta: float
    """F1 of templates that are right in group and in letter"""


def scores(true: Sequence[str], groups: Sequence[Hashable], texts: Sequence[str]) -> Scores:
    """`true[i]` is message i's template, `groups[i]` what it was put under, `texts[i]` the template given."""
    sizes = Counter(true)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    lines = right = exact = 0
    for indexes in members.values():
        first = indexes[0]
        if len(indexes) == sizes[true[first]] and all(true[i] == true[first] for i in indexes):
            lines += len(indexes)
            right += 1
            exact += texts[first] == true[first]

    def f1(good: int) -> float:
        return 2 * good / (len(members) + len(sizes))

    count = len(true)
    same = sum(a == b for a, b in zip(true, texts, strict=True))
    return Scores(lines / count, f1(right), same / count, f1(exact))


def loghub(system: str) -> list[dict[str, str]]:
    """The rows of a system's structured CSV."""
    with (LOGHUB / system / f"{system}_2k.log_structured.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def template_of(msg: str, *, formatted: bool) -> str:
    """The true template of a `msg` of Python's logging: every directive a variable."""
    if not formatted:
        return msg
    return DIRECTIVE.sub(lambda found: "%" if found[2] == "%" else "<*>", msg)
