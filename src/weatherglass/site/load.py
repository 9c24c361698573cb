"""From files to a checked `Site`. `parse` is pure; `load` at the end is the one place that reads files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from weatherglass.base.errors import Invalid, Problem
from weatherglass.site.fields import BAD, NAME, At, Field, ListOf, Report, Scalar, beside, near
from weatherglass.site.model import Site
from weatherglass.site.section import LATER, Context, all_sections
from weatherglass.site.tree import MAX_BYTES, Node, compose

MAX_FILES = 2000
_PLACE = re.compile(r"(.*?):(\d+)")
INCLUDE = ListOf(Scalar(beside, {"type": "string"}, "a file beside this one"), single=True)


class _Sources:
    """Files by name, each read at most once; what was read is kept for the site."""

    def __init__(self, read: Callable[[str], str | None], matching: Callable[[str], list[str]]) -> None:
        self._read, self.matching = read, matching
        self.seen: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        if name not in self.seen:
            if len(self.seen) >= MAX_FILES:
                raise Invalid(f"more than {MAX_FILES} files", where=name, mend="include fewer")
            text = self._read(name)
            if text is None:
                return None
            self.seen[name] = text
        return self.seen[name]


def parse(sources: Mapping[str, str], main: str) -> Site:
    """The site that `main` declares, with every file it may name given in `sources` by its path beside it.

    Raises Invalid with all problems at once, each with `file:line.field` and its mend.
    """

    def matching(pattern: str) -> list[str]:
        return sorted(
            name
            for name in sources
            if fnmatch.fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")
        )

    return _parse(_Sources(sources.get, matching), main)


def _parse(sources: _Sources, main: str) -> Site:
    report = Report()
    found, values = _read(sources, main, report)
    title = NAME.read(found["site"]) if "site" in found else BAD
    if "site" not in found:
        report.add("site", "the site has no name", "begin with a line like `site: aurora`", _start(main))
    if report.problems:
        raise _invalid(report.problems)
    own = set(Site.__dataclass_fields__)
    return Site(
        name=title,
        **{name: value for name, value in values.items() if name in own},
        templates={
            template: sources.seen[template]
            for service in values["services"].values()
            for template in service.files.values()
        },
        sections={name: value for name, value in values.items() if name not in own},
        source=sources.seen[main],
        sources=dict(sources.seen),
    )


def _read(
    sources: _Sources, main: str, report: Report, *, whole: bool = True
) -> tuple[dict[str, At], dict[str, Any]]:
    """What is written of each section, and what it comes to; not `whole`: of those alone that are written."""
    found = _gather(sources, main, report)
    known = all_sections()
    values: dict[str, Any] = {}
    names: dict[str, frozenset[str]] = {}
    for name, section in known.items():
        value = section.type.read(found[name]) if name in found else BAD
        values[name] = section.empty if value is BAD else value
        at = found.get(name)
        names[name] = frozenset(key.text for key, _ in at.node.pairs) if at else frozenset()
    context = Context(values, names, report, sources.read)
    for name, section in known.items():
        if section.finish and (whole or name in found):
            values[name] = section.finish(context)
    return found, values


def parse_part(text: str, main: str) -> dict[str, Any]:
    """The sections of a file that need not be a whole site: no name, no hosts. Raises Invalid."""
    report = Report()
    _, values = _read(_Sources({main: text}.get, lambda pattern: []), main, report, whole=False)
    if report.problems:
        raise _invalid(report.problems)
    return values


def _start(file: str) -> Node:
    return Node("scalar", file, 1)


def _invalid(problems: list[Problem]) -> Invalid:
    found = sorted(dict.fromkeys(problems), key=_line)
    head = found[0]
    return Invalid(head.message, where=head.where, mend=head.mend, problems=found)


def _line(problem: Problem) -> tuple[str, int]:
    form = _PLACE.match(problem.where)
    return (form[1], int(form[2])) if form else ("", 0)


def _gather(sources: _Sources, main: str, report: Report) -> dict[str, At]:
    """The sections of the main file and of all it includes, joined; a name given twice is a problem."""
    text = sources.read(main)
    if text is None:
        raise Invalid("there is no such file", where=main, mend="name the file that declares the site")
    joined: dict[str, Node] = {}
    places: dict[tuple[str, str], Node] = {}
    waiting, done = [main], set()
    while waiting:
        file = waiting.pop(0)
        if file in done:
            continue
        done.add(file)
        try:
            root = compose(sources.read(file) or "", file)
        except Invalid as error:
            report.problems += error.problems
            continue
        if root is None:
            continue
        top = At(root, "", report).pairs() or {}
        for name, at in top.items():
            if name == "include":
                if file != main:
                    at.bad("include: in an included file", f"name the files in {main}")
                    continue
                waiting += _included(at, sources, report)
            elif name == "site" and file != main:
                at.bad("the site's name in an included file", f"give it in {main} alone")
            elif name in all_sections():
                _join(name, at, joined, places, report)
            elif name == "site":
                joined[name] = at.node
            elif name in LATER:
                at.bad(f"{name} is not yet in this version ({LATER[name]})", "leave it out for now")
            else:
                at.bad(f"{name} is not a section", near(name, [*all_sections(), *LATER, "site", "include"]))
    return {name: At(node, name, report).noted() for name, node in joined.items()}


def _included(at: At, sources: _Sources, report: Report) -> list[str]:
    patterns = INCLUDE.read(at)
    files: list[str] = []
    for number, pattern in enumerate(() if patterns is BAD else patterns):
        matched = sources.matching(pattern)
        if not matched and not any(sign in pattern for sign in "*?["):
            place = f"include[{number}]"
            report.add(place, f"there is no file {pattern}", "write it, or take the line out")
        files += matched
    return files


def _join(
    name: str, at: At, joined: dict[str, Node], places: dict[tuple[str, str], Node], report: Report
) -> None:
    if name not in joined or joined[name].null:
        joined[name] = Node(at.node.kind, at.node.file, at.node.line, at.node.text, at.node.quoted)
        joined[name].items = list(at.node.items)
    elif at.node.null:
        return
    elif at.node.kind != "mapping" or joined[name].kind != "mapping":
        at.bad(
            f"{name} is given in {joined[name].file}:{joined[name].line} too, in another form",
            "write both as mappings",
        )
        return
    for key, value in at.node.pairs:
        first = places.get((name, key.text))
        if first and first.file != key.file:
            report.add(
                f"{name}.{key.text}", f"{key.text} is given in {first.file}:{first.line} too", "keep one", key
            )
            continue
        places[name, key.text] = key
        joined[name].pairs.append((key, value))


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one file of a declaration, for editors; every default is in its text."""
    top: dict[str, Field] = {
        "site": Field(NAME, "the site's name"),
        "include": Field(INCLUDE, "more files, `*` allowed, beside this one", (), "default: none"),
    }
    properties: dict[str, Any] = {
        name: {"description": field.doc, **field.type.schema()} for name, field in top.items()
    }
    for section in all_sections().values():
        properties[section.name] = {
            "description": section.doc,
            "anyOf": [section.type.schema(), {"type": "null"}],
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Weatherglass site",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def load(path: Path) -> Site:
    """The site declared by a file and by what lies beside it. Raises Invalid with all problems."""
    root = path.parent

    def read(name: str) -> str | None:
        file = root / name
        if not file.is_file():
            return None
        if not file.resolve().is_relative_to(root.resolve()):
            raise Invalid("the file lies outside the declaration's folder", where=name, mend="copy it there")
        try:
            with file.open("rb") as opened:
                body = opened.read(MAX_BYTES + 1)
            if len(body) > MAX_BYTES:
                raise Invalid(f"the file is larger than {MAX_BYTES >> 20} MiB", where=name, mend="split it")
            return body.decode()
        except OSError as error:
            raise Invalid(
                f"it cannot be read: {error.strerror}", where=name, mend="check its permissions"
            ) from error
        except UnicodeDecodeError as error:
            line = body[: error.start].count(b"\n") + 1
            raise Invalid("it is not UTF-8", where=f"{name}:{line}", mend="save it as UTF-8 text") from error

    def matching(pattern: str) -> list[str]:
        files = sorted(file for file in root.glob(pattern) if file.is_file())
        return [str(PurePosixPath(file.relative_to(root))) for file in files]

    return _parse(_Sources(read, matching), path.name)
