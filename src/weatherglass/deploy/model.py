"""The values of a deployment: units with their hashes, generations, what was observed, changes, plans.

Pure and light (the agent imports it): no I/O, no rendering, nothing of the site's own types. Units are made
from a site in `units`, compared in `plan`, brought about in `execute`, ordered and recorded in `apply`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NewType

from weatherglass.base.errors import Corrupt

UnitId = NewType("UnitId", str)

Kind = Literal["image", "volume", "file", "once", "replica"]

FORMAT = 1
"""Version of the JSON of units and generations."""

SECRET = "@@secret:{name}@@"  # noqa: S105 (a placeholder's form, not a secret)
"""Stands in rendered text for a secret; the agent puts the value in as it writes the file."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that a host must have. `hash` covers kind, host and spec; `needs` are units that come first.

    `spec` is JSON; its keys are those of `execute`'s executor of that kind (tabled in `units`).
    """

    id: UnitId
    kind: Kind
    host: str
    spec: Mapping[str, Any]
    service: str = ""
    replica: str = ""
    needs: tuple[UnitId, ...] = ()
    hash: str = ""

    def sealed(self) -> Unit:
        """The same unit with its hash worked out."""
        return Unit(
            self.id, self.kind, self.host, self.spec, self.service, self.replica, self.needs,
            digest([FORMAT, self.kind, self.host, self.spec]),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"needs": list(self.needs)}


@dataclass(frozen=True, slots=True)
class Observed:
    """What a host has of a unit.

    `state`: `present` (image, file, once done), `mounted`, `unmounted` (volume), `drifted` (a file that was
    edited), `failed` (once), or for a replica `running`, `stopped`, `exited`, `orphan`. `hash` is that of the
    unit it was made from, `spec` that unit's spec, with what is known to differ live put over it.
    """

    id: UnitId
    kind: Kind
    host: str
    hash: str
    state: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    service: str = ""
    replica: str = ""
    needs: tuple[UnitId, ...] = ()
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"needs": list(self.needs)}


@dataclass(frozen=True, slots=True)
class Generation:
    """An immutable deployment: its units with everything rendered in them, and the sources they came from."""

    hash: str
    site: str
    units: Mapping[UnitId, Unit]
    sources: Mapping[str, str] = field(default_factory=dict)
    main: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "hash": self.hash,
            "site": self.site,
            "units": [unit.to_json() for unit in self.units.values()],
            "sources": dict(self.sources),
            "main": self.main,
        }


Action = Literal["create", "replace", "start", "restart", "grow", "run", "mount", "remove"]
Undo = Literal["yes", "no", "irreversible"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a change is made: which attribute, what it is now, what it is to be."""

    attribute: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.attribute}: {self.old or 'nothing'} → {self.new or 'nothing'}"


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a plan: what is done to which unit, why, what goes down meanwhile, whether it can be undone."""

    unit: Unit
    action: Action
    reasons: tuple[Reason, ...]
    takes_down: tuple[str, ...] = ()
    undo: Undo = "yes"


@dataclass(frozen=True, slots=True)
class Plan:
    """Desired − live. `observed` is a digest of the live state it was made from: a plan saved is bound to it."""

    changes: tuple[Change, ...]
    generation: str = ""
    observed: str = ""
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def to_json(self) -> dict[str, Any]:
        return {
            "generation": self.generation,
            "observed": self.observed,
            "notes": list(self.notes),
            "changes": [
                {
                    "unit": change.unit.id,
                    "kind": change.unit.kind,
                    "host": change.unit.host,
                    "service": change.unit.service,
                    "replica": change.unit.replica,
                    "action": change.action,
                    "reasons": [asdict(reason) for reason in change.reasons],
                    "takes_down": list(change.takes_down),
                    "undo": change.undo,
                }
                for change in self.changes
            ],
        }


def canonical(value: Any) -> bytes:
    """One spelling of a JSON value: what hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """SHA-256, in hex, of a JSON value's one spelling."""
    return hashlib.sha256(canonical(value)).hexdigest()


def generation(
    site: str, units: Iterable[Unit], sources: Mapping[str, str] | None = None, main: str = ""
) -> Generation:
    """Units and the sources they came from → a generation. Its hash is a Merkle root over the units' own hashes,
    so their order does not matter."""
    by_id = {unit.id: unit for unit in sorted(units, key=lambda unit: unit.id)}
    leaves = [[unit.id, unit.hash] for unit in by_id.values()]
    root = digest([FORMAT, site, digest([main, dict(sources or {})]), leaves])
    return Generation(root, site, by_id, dict(sources or {}), main)


def unit_from_json(body: Mapping[str, Any]) -> Unit:
    """A unit from its JSON. Raises Corrupt when the hash does not hold."""
    unit = Unit(
        body["id"], body["kind"], body["host"], body["spec"], body.get("service", ""), body.get("replica", ""),
        tuple(body.get("needs", ())),
    ).sealed()  # fmt: skip
    if unit.hash != body["hash"]:
        raise Corrupt(f"unit {unit.id} does not match its hash", where=str(unit.id))
    return unit


def observed_from_json(body: Mapping[str, Any]) -> Observed:
    return Observed(**{**body, "needs": tuple(body.get("needs", ()))})


def generation_from_json(body: Mapping[str, Any]) -> Generation:
    """A generation from its JSON. Raises Corrupt when any hash in it does not hold."""
    made = generation(body["site"], map(unit_from_json, body["units"]), body["sources"], body["main"])
    if made.hash != body["hash"]:
        raise Corrupt("the generation does not match its hash", where=f"generation {body['hash'][:12]}")
    return made
