"""What a section of the declaration is, and how all of them are found.

A room adds a section by adding one module to `sections/`: it holds `SECTION = Section(…)` and touches nothing
else. Reading comes first, for all; then `finish`, in the order of `after`, completes values and checks what
refers to other sections; `entities` says what of it stands in the graph.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from weatherglass.site.fields import Report, Type, near

if TYPE_CHECKING:
    from weatherglass.site.graph import Edge, Entity
    from weatherglass.site.model import Site


@dataclass(slots=True)
class Context:
    """What `finish` may look at: all sections' values, the names that were given, the files beside the site."""

    values: dict[str, Any]
    names: Mapping[str, frozenset[str]]
    report: Report
    file: Callable[[str], str | None]

    def refer(self, path: str, section: str, name: str) -> bool:
        """Whether `name` is in a section; else a problem at `path` with the nearest name."""
        known = set(self.names.get(section, ())) | set(self.values.get(section) or ())
        if name in known:
            return name in self.values[section]
        if path.endswith("]") and path not in self.report.places:
            path = path.rpartition("[")[0]  # a list of one, written without brackets
        kind = section.removesuffix("s")
        self.report.add(path, f"there is no {kind} {name}", near(name, known))
        return False


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its name, how it is read (`type`), what stands where it is absent, what it is for."""

    name: str
    type: Type
    doc: str
    empty: Any = field(default_factory=dict)
    after: tuple[str, ...] = ()
    finish: Callable[[Context], Any] | None = None
    entities: Callable[[Site], tuple[list[Entity], list[Edge]]] | None = None


LATER = {
    "networks": "the rooms for networks",
    "pipelines": "the rooms for pipelines",
    "apps": "the rooms for applications",
    "workflows": "durable workflows",
    "rules": "alerting and recording rules",
}
"""Sections of the language whose room is not built; a room that is built takes its own name out by being found."""


@cache
def all_sections() -> dict[str, Section]:
    """Every section, found by listing the package `sections`, in the order in which they are finished."""
    import weatherglass.site.sections as package

    found: dict[str, Section] = {}
    for module in pkgutil.iter_modules(package.__path__):
        section: Section = importlib.import_module(f"{package.__name__}.{module.name}").SECTION
        found[section.name] = section
    order = TopologicalSorter({name: found[name].after for name in sorted(found)}).static_order()
    return {name: found[name] for name in order if name in found}  # `after` may name a room that is not built
