"""The check as a whole: a folder or a file in, a report out. The edge that reads files is here, and only it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from weatherglass.base.errors import Invalid
from weatherglass.pipelines.check.findings import Finding, Hit, Kind, Report, Rule, Source, Tree, Way
from weatherglass.pipelines.check.kinds import MOST_BYTES, kind_of, walk
from weatherglass.pipelines.check.reading import read
from weatherglass.pipelines.check.rules import RULES

_BLOCKS = 3


def check(path: Path) -> Report:
    """All findings in a file or below a folder. Raises Invalid where there is nothing to check."""
    if not path.exists():
        raise Invalid(
            "there is no such file or folder", where=str(path), mend="the folder of a pipeline, or one file"
        )
    texts: dict[str, str] = {}
    names: set[str] = set()
    notes: list[str] = []
    for name, at in [(path.name, path)] if path.is_file() else walk(path):
        names.add(name)
        if at.stat().st_size > MOST_BYTES:
            continue
        try:
            texts[name] = at.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            if kind_of(name, ""):
                notes.append(f"{name}: it is not UTF-8 text and was passed over")
        except OSError as error:
            notes.append(f"{name}: it cannot be read ({error.strerror})")
    return checked(texts, frozenset(names) if path.is_dir() else frozenset(), notes)


def checked(
    texts: Mapping[str, str], names: frozenset[str] = frozenset(), notes: Iterable[str] = ()
) -> Report:
    """The same over texts by their name. Pure. Raises Invalid where none is of a pipeline."""
    kinds = {name: kind for name, text in texts.items() if (kind := kind_of(name, text))}
    if not kinds:
        raise Invalid(
            "nothing of a pipeline is in it",
            where=next(iter(texts), ""),
            mend="Snakefile, *.cwl, *.nf, *.sh, Dockerfile, *.tf, playbooks, manifest.json",
        )
    tree = Tree(tuple(read(name, kind, texts[name]) for name, kind in sorted(kinds.items())), names)
    found = [finding for source in tree.sources for finding in _of(source, tree)]
    counts = Counter(str(one.kind) for one in tree.sources)
    told = [*notes]
    if Kind.NEXTFLOW in kinds.values():
        told.append("Nextflow was read, not run: its launcher is not part of this house.")
    ordered = sorted(found, key=lambda one: (one.file, one.line, one.rule))
    return Report(tuple(ordered), dict(sorted(counts.items())), tuple(told), ways(ordered))


def _of(source: Source, tree: Tree) -> Iterable[Finding]:
    for rule in RULES.values():
        if source.kind not in rule.kinds:
            continue
        hits = list(rule.look(source, tree))
        # A negative line is one more of what was told already: it is in the patch alone.
        patch = _patch(source, hits)
        for hit in hits:
            if hit.line > 0:
                yield _finding(rule, source, hit, patch)
                patch = ""


def _finding(rule: Rule, source: Source, hit: Hit, patch: str) -> Finding:
    mend = rule.mend
    if rule.name == "broken":
        mend = next((how for line, what, how in source.broken if line == hit.line), mend)
    return Finding(rule.name, source.path, hit.line, f"{rule.why}", mend, hit.found, patch)


def _patch(source: Source, hits: Iterable[Hit]) -> str:
    """A unified diff of all lines that can be mended mechanically; "" where there are none."""
    after = list(source.lines)
    for hit in hits:
        if hit.instead is not None:
            after[abs(hit.line) - 1] = hit.instead
    if after == list(source.lines):
        return ""
    name = source.path
    return "\n".join(difflib.unified_diff(source.lines, after, f"a/{name}", f"b/{name}", lineterm="", n=1))


def ways(findings: Iterable[Finding]) -> tuple[Way, ...]:
    """Both ways: a cloud that mimics the site, and the pipeline made the cloud's own; what either takes."""
    findings = list(findings)
    mimicked = [one for one in findings if not RULES[one.rule].provides]
    brings = sorted({RULES[one.rule].provides for one in findings} - {""})
    return (
        _way("mimic the site", mimicked, tuple(brings)),
        _way("cloud-native", findings, tuple(dict.fromkeys(RULES[one.rule].mend for one in findings))),
    )


def _way(name: str, findings: list[Finding], brings: tuple[str, ...]) -> Way:
    blockers = sum(RULES[one.rule].weight >= _BLOCKS for one in findings)
    return Way(name, not blockers, blockers, sum(RULES[one.rule].weight for one in findings), brings)
