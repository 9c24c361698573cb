"""What a check finds, what a rule is, and what rules look at. Values alone; readers and rules are beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a file is to a pipeline."""

    SNAKEMAKE = "snakemake"
    CWL = "cwl"
    NEXTFLOW = "nextflow"
    SHELL = "shell"
    DOCKER = "dockerfile"
    TERRAFORM = "terraform"
    ANSIBLE = "ansible"
    MANIFEST = "manifest"
    CONDA = "conda"
    CONFIG = "config"
    PYTHON = "python"
    R = "r"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands between a pipeline and a cloud. `patch` is a unified diff where it is mechanical."""

    rule: str
    file: str
    line: int
    why: str
    mend: str
    found: str = ""
    patch: str = ""


class Hit(NamedTuple):
    """Where a rule applies: its line, what stands there, and perhaps the line as it should be."""

    line: int
    found: str
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step that runs something: a Snakemake rule, a Nextflow process, a CWL tool.

    `parts` are its directives, by name, with their text; `first` and `last` its lines; `command` the lines of what
    it runs.
    """

    name: str
    first: int
    last: int
    parts: Mapping[str, str] = field(default_factory=dict)
    command: tuple[int, int] = (0, 0)

    def has(self, *names: str) -> bool:
        return any(name in self.parts for name in names)


@dataclass(frozen=True, slots=True)
class Source:
    """One file as rules see it. Line numbers begin at 1: line k is `lines[k - 1]`, `code[k - 1]`.

    `code` has comments, documentation and what is only said (echo, print, log) blanked; `directives` are a
    scheduler's (`#SBATCH …`) by line; `steps` are those that run something; `broken` are mistakes of the file itself.
    """

    path: str
    kind: Kind
    lines: tuple[str, ...]
    code: tuple[str, ...]
    directives: Mapping[int, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    broken: tuple[tuple[int, str, str], ...] = ()

    def numbered(self) -> Iterator[tuple[int, str]]:
        """(line, code) of lines on which something is left."""
        return ((at, text) for at, text in enumerate(self.code, 1) if text.strip())

    def within(self, first: int, last: int) -> str:
        return "\n".join(self.code[first - 1 : last])

    def step_at(self, line: int) -> Step | None:
        return next((step for step in self.steps if step.first <= line <= step.last), None)


@dataclass(frozen=True, slots=True)
class Tree:
    """All files of a pipeline that were read, and the names of all there are (relative, with /)."""

    sources: tuple[Source, ...]
    names: frozenset[str] = frozenset()

    def of(self, *kinds: Kind) -> Iterator[Source]:
        return (one for one in self.sources if one.kind in kinds)


Look = Callable[[Source, Tree], Iterable[Hit]]


class Rule(NamedTuple):
    """One rule: in which kinds of file it looks and how, why it matters, how it is mended.

    `provides`: what a cloud that mimics the site would have to bring so that nothing need change; "" where it hurts
    either way. `weight`: how much it stands in the way: 3 it will not run, 2 it may not, 1 it costs.
    """

    name: str
    kinds: frozenset[Kind]
    look: Look
    why: str
    mend: str
    provides: str = ""
    weight: int = 2


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a cloud: how ready the pipeline is for it, and what either side must bring."""

    name: str
    ready: bool
    blockers: int
    effort: int
    brings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a check says: the findings, how many files of each kind were read, what was passed over, both ways."""

    findings: tuple[Finding, ...]
    read: Mapping[str, int]
    notes: tuple[str, ...]
    ways: tuple[Way, ...]
