"""`scrape:` what is fetched from exporters, in Prometheus' own words (`scrape_configs`).

Read here as plain values with their places; what they mean is `metrics.scrape`'s to say, and `weatherglass check`
asks it.
"""

from __future__ import annotations

import re
from typing import Any

from weatherglass.site.fields import At
from weatherglass.site.section import Section
from weatherglass.site.tree import Node

_INTEGER = re.compile(r"[-+]?(0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"[-+]?\d+\.\d+([eE][-+]?\d+)?")


def plain(node: Node) -> Any:
    """A tree as lists, dicts, texts, numbers and booleans of YAML 1.2's core schema."""
    if node.kind == "list":
        return [plain(item) for item in node.items]
    if node.kind == "mapping":
        return {key.text: plain(value) for key, value in node.pairs}
    if node.null:
        return None
    if not node.quoted:
        if node.text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return node.text.lower() == "true"
        if _INTEGER.fullmatch(node.text):
            return int(node.text)
        if _FLOAT.fullmatch(node.text):
            return float(node.text)
    return node.text


class _Jobs:
    """A list of jobs: `({"job_name": …}, "site.yaml:12")`, each with where it stands."""

    def read(self, at: At) -> Any:
        if at.node.kind != "list":
            return at.bad("a list of jobs belongs here", "write - job_name: …")
        found = []
        for number, node in enumerate(at.node.items):
            inner = at.item(number, node)
            if inner.pairs() is None:
                continue
            found.append((plain(node), f"{node.file}:{node.line}.{inner.path}"))
        return tuple(found)

    def schema(self) -> dict[str, Any]:
        return {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "properties": {"job_name": {"type": "string"}},
                "required": ["job_name"],
            },
        }


SECTION = Section(
    name="scrape",
    type=_Jobs(),
    doc="What is fetched from exporters, in the words of Prometheus' scrape_configs.",
    empty=(),
)
