"""The steps of a workflow: Snakemake's rules, Nextflow's processes, CWL's tools, with their directives. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from weatherglass.pipelines.check.findings import Step

_RULE = re.compile(r"^(\s*)(?:use\s+)?(rule|checkpoint)\s+(\w+)?\b.*:\s*$|^(\s*)(rule|checkpoint)\s*:\s*$")
_DIRECTIVE = re.compile(r"^(\s+)(\w+)\s*:(.*)$")
_COMMANDS = ("shell", "script", "run", "wrapper", "notebook", "cwl")


def snakemake(code: Sequence[str]) -> tuple[Step, ...]:
    """Rules of a Snakefile. Rules that run nothing (targets) are none."""
    found, at = [], 0
    while at < len(code):
        match = _RULE.match(code[at])
        if not match:
            at += 1
            continue
        indent = len(match[1] if match[1] is not None else match[4])
        end = at + 1
        while end < len(code) and (not code[end].strip() or _indent(code[end]) > indent):
            end += 1
        last = end
        while last > at + 1 and not code[last - 1].strip():
            last -= 1
        step = _rule(match[3] or f"rule at line {at + 1}", at, last, code)
        if step:
            found.append(step)
        at = end
    return tuple(found)


def _indent(line: str) -> int:
    return len(line.expandtabs(8)) - len(line.expandtabs(8).lstrip())


def _rule(name: str, first: int, last: int, code: Sequence[str]) -> Step | None:
    parts: dict[str, str] = {}
    begins: dict[str, int] = {}
    level, current = -1, ""
    for at in range(first + 1, last):
        match = _DIRECTIVE.match(code[at])
        if match and (level < 0 or _indent(code[at]) == level):
            level = _indent(code[at])
            current = match[2]
            parts[current] = match[3]
            begins[current] = at
        elif current:
            parts[current] += "\n" + code[at]
    command = next((one for one in _COMMANDS if one in parts), "")
    if not command:
        return None
    begin = begins[command]
    return Step(name, first + 1, last, parts, (begin + 1, begin + 1 + parts[command].count("\n")))


_PROCESS = re.compile(r"(?m)^[ \t]*process\s+[\"']?(\w+)[\"']?\s*\{")
_NF_PART = re.compile(r"(?m)^[ \t]*(\w+)[ \t]*(?::[ \t]*$|[ \t]+(?=[\"'\w{\[(\-$])|(?=\{))(.*)$")


def nextflow(text: str, hidden: str) -> tuple[Step, ...]:
    """Processes of a Nextflow script. `hidden` is the text with its strings blanked: braces in it are real."""
    found = []
    for match in _PROCESS.finditer(hidden):
        end = closing(hidden, match.end() - 1)
        body = text[match.end() : end]
        parts: dict[str, str] = {}
        script = re.search(r"(?m)^[ \t]*(?:script|shell|exec|stub)\s*:", body) or re.search(
            r'"""|\'\'\'', body
        )
        head = body[: script.start()] if script else body
        for part in _NF_PART.finditer(head):
            parts.setdefault(part[1], part[2])
        first = text.count("\n", 0, match.start()) + 1
        last = text.count("\n", 0, end) + 1
        begin = text.count("\n", 0, match.end() + (script.start() if script else 0)) + 1
        parts["script"] = body[script.start() :] if script else ""
        found.append(Step(match[1], first, last, parts, (begin, last)))
    return tuple(found)


def closing(hidden: str, at: int) -> int:
    """Where the brace opened at `at` closes; the end of the text where it never does."""
    depth = 0
    for place in range(at, len(hidden)):
        if hidden[place] == "{":
            depth += 1
        elif hidden[place] == "}":
            depth -= 1
            if not depth:
                return place
    return len(hidden)


def cwl(node: Any, code: Sequence[str]) -> tuple[Step, ...]:
    """Command line tools of a CWL document, from its YAML nodes; `$graph` holds many, and steps may hold one."""
    found: list[Step] = []
    _tools(node, [], found)
    return tuple(found)


def _tools(node: Any, above: list[str], found: list[Step]) -> None:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _tools(one, above, found)
        return
    if not isinstance(node, yaml.MappingNode):
        return
    here = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    declared = [*above, *_requirements(here)]
    kind = here.get("class")
    if isinstance(kind, yaml.ScalarNode) and kind.value == "CommandLineTool":
        parts = dict.fromkeys(declared, "") | dict.fromkeys(here, "")
        name = here["id"].value if isinstance(here.get("id"), yaml.ScalarNode) else "the tool"
        first, last = kind.start_mark.line + 1, node.end_mark.line + 1
        found.append(Step(str(name), first, last, parts, (first, last)))
        return
    for value in here.values():
        _tools(value, declared, found)


def _requirements(here: dict[str, Any]) -> list[str]:
    import yaml

    found: list[str] = []
    for name in ("requirements", "hints"):
        value = here.get(name)
        if isinstance(value, yaml.MappingNode):
            found += [key.value for key, _ in value.value if isinstance(key, yaml.ScalarNode)]
        elif isinstance(value, yaml.SequenceNode):
            for one in value.value:
                if isinstance(one, yaml.MappingNode):
                    found += [
                        inner.value
                        for key, inner in one.value
                        if getattr(key, "value", "") == "class" and isinstance(inner, yaml.ScalarNode)
                    ]
    return found
