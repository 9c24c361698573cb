"""Desired − live → changes with their reasons, and the order they are made in. Pure.

How each kind of unit is compared is one row of `COMPARE`. Nothing is read or touched here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.base.units import size
from weatherglass.deploy.model import Action, Change, Observed, Plan, Reason, Undo, Unit, UnitId, digest

Verdict = tuple[Action, tuple[Reason, ...], Undo] | None


def plan(desired: Mapping[UnitId, Unit], live: Mapping[UnitId, Observed], generation: str = "") -> Plan:
    """The changes that turn what runs into what is declared.

    Pure: nothing is read or touched. Each change carries its reasons (attribute, old, new), so that a person
    can agree to it. Order comes later, from the graph (see `schedule`). Raises Invalid for what cannot be done
    (a volume that would shrink).
    """
    changes, notes = [], []
    for unit in desired.values():
        verdict = COMPARE[unit.kind](unit, live.get(unit.id))
        if verdict is not None:
            action, reasons, undo = verdict
            changes.append(Change(unit, action, reasons, takes_down(unit, action, desired, live), undo))
    for seen in live.values():
        if seen.id in desired:
            continue
        extra = Unit(
            seen.id, seen.kind, seen.host, seen.spec, seen.service, seen.replica, seen.needs, seen.hash
        )
        if seen.kind in KEPT:
            continue
        if seen.kind == "volume":
            notes.append(f"the data of {seen.id} stays on {seen.host}; only its mount goes")
        reason = Reason("declared", "yes" if seen.state != "orphan" else "never", "no")
        changes.append(Change(extra, "remove", (reason,), takes_down(extra, "remove", desired, live)))
    return Plan(tuple(changes), generation, fingerprint(live), tuple(notes))


KEPT = frozenset({"image", "once"})
"""What is left behind without a change: images serve a rollback, a done job cannot be taken back."""


def fingerprint(live: Mapping[UnitId, Observed]) -> str:
    """What a saved plan is bound to: every unit's hash and state as they were seen."""
    return digest(sorted([seen.id, seen.hash, seen.state] for seen in live.values()))


def _by_hash(unit: Unit, seen: Observed) -> tuple[Reason, ...]:
    return () if seen.hash == unit.hash else differences(seen.spec, unit.spec)


def _image(unit: Unit, seen: Observed | None) -> Verdict:
    if seen is None:
        return "create", (Reason("exists", "no", "yes"),), "yes"
    reasons = _by_hash(unit, seen)
    return ("replace", reasons, "yes") if reasons else None


def _volume(unit: Unit, seen: Observed | None) -> Verdict:
    if seen is None:
        return "create", (Reason("exists", "no", "yes"),), "yes"
    want, have = int(unit.spec.get("size", 0)), int(seen.spec.get("size", 0))
    if bool(want) != bool(have):
        raise Invalid(
            f"volume {unit.spec['name']} cannot turn from {'sized' if have else 'a plain folder'} into the other",
            where=f"volumes.{unit.spec['name']}.size",
            mend="declare a new volume and move the data",
        )
    # A declared size is a floor: health grows a volume up to its `max`, and that is not drift.
    if want > have:
        return "grow", (Reason("size", size(have), size(want)),), "irreversible"
    if seen.state == "unmounted":
        return "mount", (Reason("state", "unmounted", "mounted"),), "yes"
    return None


def _file(unit: Unit, seen: Observed | None) -> Verdict:
    if seen is None:
        return "create", (Reason("exists", "no", "yes"),), "yes"
    if seen.state == "drifted":
        return "replace", (Reason("content", seen.detail or "edited by hand", "as declared"),), "yes"
    reasons = _by_hash(unit, seen)
    return ("replace", reasons, "yes") if reasons else None


def _once(unit: Unit, seen: Observed | None) -> Verdict:
    if seen is None:
        return "run", (Reason("done", "never", "yes"),), "no"
    if seen.hash != unit.hash:
        return "run", _by_hash(unit, seen), "no"
    if seen.state != "present":
        return "run", (Reason("done", seen.detail or seen.state, "yes"),), "no"
    return None


def _replica(unit: Unit, seen: Observed | None) -> Verdict:
    if seen is None:
        return "create", (Reason("exists", "no", "yes"),), "yes"
    reasons = _by_hash(unit, seen)
    if seen.state == "orphan":
        reasons = (Reason("kept by", "nobody (an orphan)", "the agent"), *reasons)
    if reasons:
        return "replace", reasons, "yes"
    if seen.state == "exited":
        return "start", (Reason("state", seen.detail or "exited", "running"),), "yes"
    if seen.state == "stopped":
        return "restart", (Reason("state", seen.detail or "stopped", "running"),), "yes"
    return None


COMPARE: dict[str, Callable[[Unit, Observed | None], Verdict]] = {
    "image": _image,
    "volume": _volume,
    "file": _file,
    "once": _once,
    "replica": _replica,
}


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> tuple[Reason, ...]:
    """Each attribute that differs, by its dotted path; text of many lines as the first line that differs.

    Secrets never show: specs hold placeholders, and fingerprints are told as changed, not printed.
    """
    reasons: list[Reason] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        path = f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            reasons += differences(before, after, f"{path}.")
        elif prefix == "secrets.":
            reasons.append(Reason(path, "its value" if before else "", "a new value" if after else ""))
        elif isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
            reasons.append(_line_difference(path, before, after))
        else:
            reasons.append(Reason(path, _short(before), _short(after)))
    # Same spec, other hash: the format of specs has moved on.
    return tuple(reasons) or ((Reason("format", "older", "current"),) if not prefix else ())


def _line_difference(path: str, before: str, after: str) -> Reason:
    old, new = before.splitlines(), after.splitlines()
    for number, (a, b) in enumerate(zip(old, new, strict=False), 1):
        if a != b:
            return Reason(f"{path} line {number}", _short(a.strip()), _short(b.strip()))
    return Reason(f"{path} lines", str(len(old)), str(len(new)))


def _short(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def takes_down(
    unit: Unit, action: Action, desired: Mapping[UnitId, Unit], live: Mapping[UnitId, Observed]
) -> tuple[str, ...]:
    """Entities that do not serve while the change is made: the replica, its service when it has no other that
    runs, and every service that needs that one."""
    seen = live.get(unit.id)
    if unit.kind != "replica" or action not in DISRUPTS or seen is None or seen.state != "running":
        return ()
    others = any(
        other.service == unit.service and other.id != unit.id and other.state == "running"
        for other in live.values()
        if other.kind == "replica"
    )
    if others:
        return (f"replica/{unit.replica}",)
    down, queue = [unit.service], [unit.service]
    needed_by = defaultdict(set)
    for other in desired.values():
        if other.kind == "replica":
            for service in other.spec.get("needs", ()):
                needed_by[service].add(other.service)
    while queue:
        for service in sorted(needed_by[queue.pop(0)]):
            if service not in down:
                down.append(service)
                queue.append(service)
    return (f"replica/{unit.replica}", *(f"service/{service}" for service in down))


DISRUPTS = frozenset({"replace", "restart", "remove"})


def schedule(changes: Iterable[Change], desired: Mapping[UnitId, Unit]) -> list[tuple[Change, ...]]:
    """Changes → waves; those of one wave may be made at the same time. Raises Invalid for a cycle of needs.

    Images come before the first stop; removals before what may want their ports, dependents first; replicas of
    one service follow each other. Needs reach through units that do not change.
    """
    todo = {change.unit.id: change for change in changes}
    after = {unit_id: _before(todo[unit_id], todo, desired) for unit_id in todo}
    waves: list[tuple[Change, ...]] = []
    placed: set[UnitId] = set()
    while len(placed) < len(todo):
        ready = [unit_id for unit_id in todo if unit_id not in placed and after[unit_id] <= placed]
        if not ready:
            left = ", ".join(sorted(set(todo) - placed))
            raise Invalid(
                f"these need each other in a circle: {left}", where="services", mend="cut one `needs`"
            )
        waves.append(tuple(todo[unit_id] for unit_id in sorted(ready)))
        placed.update(ready)
    return waves


def _before(change: Change, todo: Mapping[UnitId, Change], desired: Mapping[UnitId, Unit]) -> set[UnitId]:
    """The changes that must be made before this one."""
    if change.action == "remove":
        return {
            other.unit.id
            for other in todo.values()
            if other.action == "remove" and change.unit.id in _reach(other.unit, desired, todo)
        }
    first = {unit_id for unit_id in _reach(change.unit, desired, todo) if unit_id in todo}
    if change.unit.kind in ("replica", "once"):
        first |= {u for u, other in todo.items() if other.unit.kind == "image" or other.action == "remove"}
    if change.unit.kind == "replica":
        first |= {
            unit_id
            for unit_id, other in todo.items()
            if other.unit.kind == "replica"
            and other.unit.service == change.unit.service
            and _number(other.unit) < _number(change.unit)
        }
    return first - {change.unit.id}


def _number(unit: Unit) -> int:
    return int(unit.spec.get("number", 0))


def _reach(unit: Unit, desired: Mapping[UnitId, Unit], todo: Mapping[UnitId, Change]) -> set[UnitId]:
    """Every unit that this one needs, directly or through others."""
    found: set[UnitId] = set()
    queue = list(unit.needs)
    while queue:
        unit_id = queue.pop()
        if unit_id in found:
            continue
        found.add(unit_id)
        known = desired.get(unit_id) or (todo[unit_id].unit if unit_id in todo else None)
        if known is not None:
            queue += known.needs
    return found


def sentence(change: Change) -> str:
    """A change in a line for people: `replace keystone.1@ctl-1 (environment.MODE: a → b)`."""
    name = change.unit.replica or str(change.unit.spec.get("name", change.unit.id))
    if change.unit.kind == "file":
        name = f"{change.unit.spec.get('path', change.unit.id)} of {name}"
    elif change.unit.kind == "once":
        name = f"job {change.unit.spec['name']} of {change.unit.service}"
    elif change.unit.kind in ("image", "volume"):
        name = f"{change.unit.kind} {name} on {change.unit.host}"
    more = f" and {len(change.reasons) - 1} more" if len(change.reasons) > 1 else ""
    return f"{change.action} {name} ({change.reasons[0]}{more})"
