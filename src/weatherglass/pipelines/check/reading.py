"""A reader a kind of file: text in, `Source` out. Pure. Nothing is run, included or looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import yaml

from weatherglass.pipelines.check import blanks, steps
from weatherglass.pipelines.check.findings import Kind, Source, Step

_DIRECTIVE = re.compile(r"^#(SBATCH|BSUB|PBS|\$|COBALT|OAR|MSUB)\s+(.*)$")
Broken = tuple[int, str, str]


def read(path: str, kind: Kind, text: str) -> Source:
    """One file as rules see it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    lines = tuple(text.split("\n"))
    code, found, broken = READERS[kind](text)
    directives = {}
    if kind in (Kind.SHELL, Kind.PYTHON, Kind.R):
        directives = {
            at: f"{match[1]} {match[2]}"
            for at, line in enumerate(lines, 1)
            if (match := _DIRECTIVE.match(line.rstrip()))
        }
    # A parser that misses something says so past the end.
    mistakes = tuple((min(line, len(lines)), what, mend) for line, what, mend in broken)
    return Source(path, kind, lines, tuple(code.split("\n")), directives, found, mistakes)


Read = tuple[str, tuple[Step, ...], list[Broken]]


def _snakemake(text: str) -> Read:
    comments, strings = blanks.scan(text, line=("#",))
    code = blanks.without(text, [*comments, *blanks.said(text, strings)])
    found = steps.snakemake(code.split("\n"))
    lines = code.split("\n")
    for step in found:
        first, last = step.command
        if step.has("shell"):
            part = _commands("\n".join(lines[first - 1 : last]))
            lines[first - 1 : last] = part.split("\n")
    return "\n".join(lines), steps.snakemake(lines), _unclosed(text, strings)


def _commands(text: str) -> str:
    """Commands inside a string: whole lines that are shell comments, comments after a blank, what is echoed."""
    kept = []
    for line in text.split("\n"):
        bare = re.sub(r"^(\s*[rf]?[\"']{0,3}\s*)#.*$", lambda match: match[1], line)
        cut = (
            re.sub(r"(?<=\s)#\s.*$", "", bare) if not re.search(r"[\"'][^\"']*#[^\"']*[\"']", bare) else bare
        )
        kept.append(cut.ljust(len(line)) if len(cut) < len(line) else cut)
    opened = re.sub(
        r"^(\s*[rf]?)([\"']{1,3})", lambda m: m[1] + ";" * len(m[2]), "\n".join(kept), flags=re.MULTILINE
    )
    silent = blanks.echoed(opened)
    return blanks.without("\n".join(kept), silent)


def _unclosed(text: str, strings: list[blanks.Span]) -> list[Broken]:
    for start, end in strings:
        quote = text[start : start + 3]
        if quote in ('"""', "'''") and (end - start < 6 or not text[start:end].endswith(quote)):
            return [(text.count("\n", 0, start) + 1, "this string is never closed", f"end it with {quote}")]
    return []


def _nextflow(text: str) -> Read:
    comments, strings = blanks.scan(text, line=("//",), block=True)
    code = blanks.without(text, [*comments, *blanks.said(text, strings)])
    hidden = blanks.without(code, strings)
    found = steps.nextflow(code, hidden)
    lines = code.split("\n")
    for step in found:
        first, last = step.command
        lines[first - 1 : last] = _commands("\n".join(lines[first - 1 : last])).split("\n")
    broken = _unclosed(text, strings)
    if not broken and hidden.count("{") != hidden.count("}"):
        line = _unbalanced(hidden)
        broken = [(line, "this brace is never closed", "close it with }")] if line else []
    return "\n".join(lines), found, broken


def _unbalanced(hidden: str) -> int:
    """The line of the first brace that is never closed, 0 where there is none."""
    opened: list[int] = []
    for at, char in enumerate(hidden):
        if char == "{":
            opened.append(at)
        elif char == "}" and opened:
            opened.pop()
    return hidden.count("\n", 0, opened[0]) + 1 if opened else 0


def _shell(text: str) -> Read:
    return blanks.shell(text), (), []


def _docker(text: str) -> Read:
    code = "\n".join(" " * len(line) if line.lstrip().startswith("#") else line for line in text.split("\n"))
    return code, (), []


def _terraform(text: str) -> Read:
    comments, strings = blanks.scan(text, line=("//", "#"), block=True, triple=False)
    code = blanks.without(text, comments)
    code = re.sub(r"(?m)^(\s*description\s*=\s*)(\".*\")", lambda m: m[1] + " " * len(m[2]), code)
    hidden = blanks.without(code, strings)
    line = _unbalanced(hidden) if hidden.count("{") > hidden.count("}") else 0
    return code, (), [(line, "this brace is never closed", "close it with }")] if line else []


def _python(text: str) -> Read:
    comments, strings = blanks.scan(text, line=("#",))
    return blanks.without(text, [*comments, *blanks.said(text, strings)]), (), []


def _r(text: str) -> Read:
    comments, strings = blanks.scan(text, line=("#",), triple=False)
    return blanks.without(text, [*comments, *blanks.said(text, strings)]), (), []


def _yaml(text: str) -> Read:
    return _untold(blanks.hash_lines(text)), (), _yaml_mistakes(text)


def _untold(text: str) -> str:
    """YAML without what is only said: names of tasks, messages, labels, blocks of documentation."""
    lines, inside = text.split("\n"), -1
    for at, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if inside >= 0 and (not line.strip() or indent > inside):
            lines[at] = " " * len(line)
            continue
        inside = -1
        match = re.match(
            r"^(\s*(?:-\s+)?)(name|msg|label|doc|description|fail_msg|success_msg)\s*:\s*(.*)$", line
        )
        if match:
            if match[2] in ("doc", "msg", "description") and re.match(r"^[|>]", match[3]):
                inside = len(match[1])
            lines[at] = (
                line
                if match[2] == "name" and " " not in match[3].strip()
                else (line[: match.start(3)] + " " * len(match[3]))
            )
    return "\n".join(lines)


def _yaml_mistakes(text: str) -> list[Broken]:
    try:
        # Templates in Ansible's values are YAML only within quotes; that is Ansible's own rule.
        yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return [
            (line, f"it is not YAML: {error.problem or 'unreadable'}", "mend the line, or quote its value")
        ]
    except (yaml.YAMLError, RecursionError) as error:
        return [(1, f"it is not YAML: {error}"[:200], "save it as YAML in UTF-8")]
    return []


def _cwl(text: str) -> Read:
    code = _untold(blanks.hash_lines(text))
    mistakes = _yaml_mistakes(text)
    if mistakes:
        return code, (), mistakes
    node = yaml.compose(text, Loader=yaml.CSafeLoader)
    found = steps.cwl(node, code.split("\n"))
    names = {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    if not names & {"class", "$graph"}:
        mistakes = [
            (1, "there is neither class nor $graph in it", "class: CommandLineTool or class: Workflow")
        ]
    elif "cwlVersion" not in names:
        mistakes = [(1, "it does not say which version of CWL it is", "cwlVersion: v1.2")]
    return code, found, mistakes


def _manifest(text: str) -> Read:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return (
            text,
            (),
            [
                (
                    error.lineno,
                    f"it is not JSON: {error.msg}",
                    "mend the line; commas stand between, not after",
                )
            ],
        )
    except RecursionError:
        return text, (), [(1, "it is nested too deeply", "see what a manifest has")]
    return text, (), []


READERS: dict[Kind, Callable[[str], Read]] = {
    Kind.SNAKEMAKE: _snakemake,
    Kind.CWL: _cwl,
    Kind.NEXTFLOW: _nextflow,
    Kind.SHELL: _shell,
    Kind.DOCKER: _docker,
    Kind.TERRAFORM: _terraform,
    Kind.ANSIBLE: _yaml,
    Kind.MANIFEST: _manifest,
    Kind.CONDA: _yaml,
    Kind.CONFIG: _yaml,
    Kind.PYTHON: _python,
    Kind.R: _r,
}
