"""YAML text → a tree that knows its places. What a scalar means is the reader's business (`fields.py`).

Built from libyaml's events with a stack of our own, so that depth, size and aliases are bounded before anything
is expanded. Scalars stay text: under YAML 1.2's core schema `no`, `on` and `1:30` are plain strings, and which
of them is a number is decided by the field that is read. Merge keys (`<<`) are YAML 1.1 and not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from weatherglass.base.errors import Invalid

MAX_BYTES = 4 << 20
MAX_DEPTH = 40
MAX_NODES = 500_000
"""Nodes of one file, aliases counted as often as they are used: what bounds an alias bomb."""


@dataclass(slots=True)
class Node:
    """One node: `text` for a scalar, `items` for a list, `pairs` for a mapping; where it stands."""

    kind: str  # "scalar" | "list" | "mapping"
    file: str
    line: int
    text: str = ""
    quoted: bool = False
    items: list[Node] = field(default_factory=list)
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    weight: int = 1

    @property
    def null(self) -> bool:
        """Whether this is 1.2's null: nothing at all, `~` or `null`, unquoted."""
        return self.kind == "scalar" and not self.quoted and self.text in ("", "~", "null", "Null", "NULL")


def compose(text: str, file: str) -> Node | None:
    """The tree of the one document in `text`; None where it is empty. Raises Invalid with file and line."""
    if len(text) > MAX_BYTES:
        raise Invalid(
            f"the file is larger than {MAX_BYTES >> 20} MiB", where=file, mend="split it with include:"
        )
    try:
        return _Composer(file).run(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        message = " ".join(part for part in (error.problem, error.context) if part) or "not YAML"
        raise Invalid(
            f"not YAML: {message}", where=where, mend="check indentation, quotes and brackets there"
        ) from error
    except (yaml.YAMLError, UnicodeError) as error:
        where = f"{file}:{text[: getattr(error, 'position', 0)].count(chr(10)) + 1}"
        raise Invalid(
            f"not YAML: {error}".splitlines()[0], where=where, mend="save the file as plain UTF-8 text"
        ) from error


_QUOTES = ("'", '"', "|", ">")


class _Composer:
    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, Node] = {}
        self.root: Node | None = None
        self.stack: list[tuple[Node, Node | None, str | None]] = []  # open node, its pending key, its anchor

    def run(self, text: str) -> Node | None:
        documents = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 0
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise self._refuse("a second document", line, "use include: to split a declaration")
                case yaml.ScalarEvent():
                    if event.tag and event.tag not in ("!", "tag:yaml.org,2002:str"):
                        raise self._refuse(f"the tag {event.tag}", line, "leave the tag out")
                    node = Node("scalar", self.file, line, text=event.value, quoted=event.style in _QUOTES)
                    if event.anchor:
                        self.anchors[event.anchor] = node
                    self._add(node, line)
                case yaml.AliasEvent():
                    if event.anchor not in self.anchors:
                        raise self._refuse(
                            f"*{event.anchor}, which no anchor above has finished",
                            line,
                            "anchor it before use",
                        )
                    self._add(self.anchors[event.anchor], line)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
                    if event.tag and not event.implicit:
                        raise self._refuse(f"the tag {event.tag}", line, "leave the tag out")
                    if len(self.stack) >= MAX_DEPTH:
                        raise self._refuse(
                            f"nesting deeper than {MAX_DEPTH}", line, "nothing in a site is that deep"
                        )
                    self.stack.append((Node(kind, self.file, line), None, event.anchor))
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    node, _, anchor = self.stack.pop()
                    if anchor:
                        self.anchors[anchor] = node
                    self._add(node, node.line)
        return self.root

    def _add(self, node: Node, line: int) -> None:
        if not self.stack:
            self.root = node
            return
        parent, key, anchor = self.stack[-1]
        parent.weight += node.weight
        if parent.weight > MAX_NODES:
            raise self._refuse(f"more than {MAX_NODES} nodes, aliases counted", line, "write fewer aliases")
        if parent.kind == "list":
            parent.items.append(node)
        elif key is None:
            if node.kind != "scalar":
                raise self._refuse("a key that is not a plain word", line, "use a word as key")
            self.stack[-1] = (parent, Node("scalar", self.file, line, text=node.text), anchor)
        else:
            parent.pairs.append((key, node))
            self.stack[-1] = (parent, None, anchor)

    def _refuse(self, what: str, line: int, mend: str) -> Invalid:
        return Invalid(f"{what} is not accepted", where=f"{self.file}:{line}", mend=mend)
