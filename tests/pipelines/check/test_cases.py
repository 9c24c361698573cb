"""Every case of `cases/`: files with what must be found on each line, and nothing else.

A case holds files (`=== name`); a line ends in `@@ rule rule …` where rules apply to it.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from weatherglass.pipelines.check.checking import checked
from weatherglass.pipelines.check.rules import RULES

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


def files(case: Path) -> tuple[dict[str, str], Counter[tuple[str, int, str]]]:
    """(texts by name, wanted findings)"""
    texts: dict[str, str] = {}
    wanted: Counter[tuple[str, int, str]] = Counter()
    for part in re.split(r"(?m)^=== ", case.read_text())[1:]:
        name, _, body = part.partition("\n")
        lines = []
        for at, line in enumerate(body.split("\n"), 1):
            text, _, rules = line.partition("@@")
            lines.append(text.rstrip() if rules else line)
            wanted.update((name, at, rule) for rule in rules.split())
        texts[name] = "\n".join(lines)
    return texts, wanted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_gives_what_its_lines_say(case: Path) -> None:
    texts, wanted = files(case)
    report = checked(texts, frozenset(texts))
    found = Counter((one.file, one.line, one.rule) for one in report.findings)
    assert sorted((wanted - found).elements()) == []
    assert sorted((found - wanted).elements()) == []


def test_every_rule_has_a_case() -> None:
    seen = {rule for case in CASES for _, _, rule in files(case)[1]}
    assert sorted(set(RULES) - seen) == []
