"""What the rooms say of an entity's state and of incidents, as values; health makes them, all rooms read them.

To and from JSON for tables and for the API. The five words of `State` are the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from weatherglass.base.errors import Corrupt
from weatherglass.base.ids import EntityId

FORMAT = 1


class State(StrEnum):
    """The weather of one entity."""

    HEALTHY = "healthy"
    SICK = "sick"
    DYING = "dying"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason for a state: which signal, in one plain sentence, with the number and what it was held against."""

    signal: str  # phi probe latency anomaly logs saturation forecast witness dependency
    text: str
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    at_ns: int = 0
    query: str = ""  # PromQL that draws it


_EVIDENCE = tuple(one.name for one in fields(Evidence))


@dataclass(frozen=True, slots=True)
class StateRecord:
    """The state of an entity since an instant, and why."""

    entity: EntityId
    state: State
    since_ns: int
    at_ns: int
    evidence: tuple[Evidence, ...] = ()
    kind: str = ""  # hung | intrinsic | extrinsic
    because: str = ""  # the cause, when extrinsic


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of an incident's story."""

    at_ns: int
    title: str
    text: str
    entities: tuple[EntityId, ...] = ()


Part = str | tuple[str, str]
"""A piece of a sentence: words, or (entity, words) where a link belongs."""


@dataclass(frozen=True, slots=True)
class Incident:
    """What went wrong, from what, whom it touched, what was done, how it ended."""

    id: int
    opened_ns: int
    closed_ns: int = 0
    state: str = "open"  # open | recovering | closed
    cause: str = ""  # an entity, or "" while none is named
    cause_score: float = 0.0
    kind: str = ""  # dead | hung | full | filling | slow | failing | unreachable
    detail: str = ""  # of the kind, in a few words: `signal 9`
    affected: tuple[EntityId, ...] = ()  # in order of onset
    tenants: tuple[EntityId, ...] = ()
    moments: tuple[Moment, ...] = ()
    evidence: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)
    remedies: tuple[Mapping[str, Any], ...] = ()
    sentence: str = ""
    parts: tuple[Part, ...] = ()
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # affected → (onset, healed or 0)
    onset_ns: int = 0  # the first sign
    detected_ns: int = 0
    healed_ns: int = 0


def evidence_to_json(evidence: tuple[Evidence, ...]) -> list[dict[str, Any]]:
    """Evidence as JSON."""
    return [{name: getattr(one, name) for name in _EVIDENCE} for one in evidence]


def evidence_from_json(body: list[dict[str, Any]]) -> tuple[Evidence, ...]:
    """The way back."""
    return tuple(Evidence(**one) for one in body)


def incident_to_json(incident: Incident) -> dict[str, Any]:
    """An incident as JSON, with the version of its form."""
    return {"version": FORMAT, **asdict(incident)}


def incident_from_json(body: Mapping[str, Any]) -> Incident:
    """The way back. Raises Corrupt for a form that this version does not know."""
    if body.get("version") != FORMAT:
        raise Corrupt(f"an incident of version {body.get('version')}, and this program reads {FORMAT}")
    values = {name: value for name, value in body.items() if name != "version"}
    values["moments"] = tuple(
        Moment(**{**one, "entities": tuple(one["entities"])}) for one in values["moments"]
    )
    values["evidence"] = {name: evidence_from_json(list(found)) for name, found in values["evidence"].items()}
    values["parts"] = tuple(one if isinstance(one, str) else (one[0], one[1]) for one in values["parts"])
    values["spans"] = {name: (span[0], span[1]) for name, span in values["spans"].items()}
    for name in ("affected", "tenants", "remedies"):
        values[name] = tuple(values[name])
    return Incident(**values)


def state_to_json(record: StateRecord) -> dict[str, Any]:
    """A state as JSON."""
    return asdict(record)
