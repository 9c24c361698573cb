"""Ways of looking that many rules share: a pattern over the code's lines, with what makes it harmless. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from weatherglass.pipelines.check.findings import Hit, Kind, Look, Source, Tree

RUNS = frozenset({Kind.SNAKEMAKE, Kind.CWL, Kind.NEXTFLOW, Kind.SHELL, Kind.PYTHON, Kind.R})
"""Kinds of file that say what is run where."""
ALL = frozenset(Kind)
NOT_IN_IMAGES = ALL - {Kind.DOCKER, Kind.MANIFEST}


def pattern(text: str, unless: str = "", flags: int = 0) -> Look:
    """A hit on every line of code on which `text` is found and `unless` is not: one a line."""
    wanted = re.compile(text, flags)
    spared = re.compile(unless, flags) if unless else None

    def look(source: Source, tree: Tree) -> Iterable[Hit]:
        for at, line in source.numbered():
            match = wanted.search(line)
            if match and not (spared and spared.search(line)):
                yield Hit(at, match[0].strip(" \t\"'=(,;"))

    return look


def directive(text: str) -> Look:
    """A hit on every line that a scheduler reads (`#SBATCH …`) on which `text` is found."""
    wanted = re.compile(text)

    def look(source: Source, tree: Tree) -> Iterable[Hit]:
        for at, line in source.directives.items():
            match = wanted.search(line)
            if match:
                yield Hit(at, match[0].strip())

    return look


def either(*looks: Look) -> Look:
    """What any of them hits; one hit a line."""

    def look(source: Source, tree: Tree) -> Iterable[Hit]:
        seen: set[int] = set()
        for one in looks:
            for hit in one(source, tree):
                if hit.line not in seen:
                    seen.add(hit.line)
                    yield hit

    return look


def profiles(source: Source) -> list[tuple[int, int]]:
    """Line ranges of `profiles { … }` in a Nextflow config: the place for what belongs to one site."""
    found, depth, first = [], 0, 0
    for at, line in enumerate(source.code, 1):
        if not first and re.match(r"\s*profiles\s*\{", line):
            first, depth = at, 0
        if first:
            depth += line.count("{") - line.count("}")
            if depth <= 0 and at >= first and "}" in line:
                found.append((first, at))
                first = 0
    return found


def outside_profiles(inner: Look) -> Look:
    def look(source: Source, tree: Tree) -> Iterable[Hit]:
        spared = profiles(source) if source.kind is Kind.NEXTFLOW else []
        for hit in inner(source, tree):
            if not any(first <= hit.line <= last for first, last in spared):
                yield hit

    return look


def joined(source: Source) -> Iterable[tuple[int, str]]:
    """(first line, text) of logical lines: those ending in a backslash are one with the next."""
    held, first = "", 0
    for at, line in enumerate(source.code, 1):
        if not held:
            first = at
        stripped = line.rstrip()
        if stripped.endswith("\\"):
            held += stripped[:-1] + " "
            continue
        text = held + line
        held = ""
        if text.strip():
            yield first, text
    if held.strip():
        yield first, held
