"""What health proposes and a person may agree to, as pages offer it: the remedy, and what it takes down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from weatherglass.base.ids import name_of
from weatherglass.portal.kit import Visit

_TAKES = {
    "restart": ("Stops {} and starts it again.", "While it is away,"),
    "grow": ("Makes {} larger while it is in use; it cannot be made smaller again.", ""),
    "rollback": ("Goes back to the generation before, for everything that differs from it.", "Meanwhile,"),
}
"""Remedy → what it does, and how those who hang on it come into it (not at all where empty)."""


@dataclass(frozen=True)
class Proposal:
    """One remedy that waits for a yes."""

    incident: int
    remedy: str
    entity: str
    name: str
    waits: str
    does: str
    meanwhile: str
    takes: tuple[tuple[str, int], ...]  # (kind, how many) that would feel it, widest first


def proposals(visit: Visit, incident: Any) -> list[Proposal]:
    """The remedies of an open incident that wait for a yes, for those who may give it."""
    if incident is None or incident.state == "closed" or not visit.may("remedy.approve"):
        return []
    found = []
    for one in incident.remedies:
        if one.get("state") != "proposed":
            continue
        remedy, entity = str(one["remedy"]), str(one["entity"])
        does, meanwhile = _TAKES.get(remedy, (f"Does {remedy} on {{}}.", "Meanwhile,"))
        blast = visit.web.blast(entity) if meanwhile else {}
        takes = tuple(sorted(blast.items(), key=lambda pair: -pair[1])[:3])
        name, waits = name_of(entity), str(one.get("reason", ""))
        found.append(
            Proposal(int(incident.id), remedy, entity, name, waits, does.format(name), meanwhile, takes)
        )
    return found
