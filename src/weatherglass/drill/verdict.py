"""Whether what was seen is what a drill expects: one check a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.base import units
from weatherglass.base.ids import kind_of, name_of
from weatherglass.drill.drill import Expect
from weatherglass.drill.house import seconds
from weatherglass.drill.target import Target
from weatherglass.drill.watch import Observed

ASKED = ("asked", "approved")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was expected, and what was found."""

    name: str
    ok: bool
    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds from the fault; None for what did not come."""

    seen_s: float | None = None
    named_s: float | None = None
    remedy_s: float | None = None
    healed_s: float | None = None
    closed_s: float | None = None


def delays(observed: Observed) -> Delays:
    """How long each step took, counted from the moment the fault was asked for."""
    incident = observed.incident
    if incident is None:
        return Delays()

    def since(at_ns: int) -> float | None:
        return max(0.0, seconds(observed.asked_ns, at_ns)) if at_ns else None

    done = _done(incident)
    ended = int(done["asked_ns"]) + int(float(done["took_s"]) * 1e9) if done else 0
    return Delays(
        since(observed.seen_ns),
        since(observed.named_ns),
        since(ended),
        since(int(incident["healed_ns"])),
        since(int(incident["closed_ns"])),
    )


def judge(expect: Expect, target: Target, observed: Observed) -> tuple[Check, ...]:
    """All checks of one drill."""
    incident, took = observed.incident, delays(observed)
    cause = expect.cause(target)
    if incident is None:
        return (Check("detected", False, f"an incident on {cause}", "none was opened"),)
    return (
        _in_time("detected", took.seen_s, expect.seen_s),
        _turned(expect, cause, observed),
        _told(expect, observed),
        Check("cause", incident["cause"] == cause, cause, str(incident["cause"]) or "none was named"),
        _dependants(target, incident, observed),
        _tenants(target, incident, observed),
        _remedied(expect, incident),
        _in_time("healed", took.healed_s, expect.healed_s),
        Check("closed", incident["state"] == "closed", "the incident is closed", f"it is {incident['state']}"),
        Check(
            "nothing left", not observed.left_open, "no incident is left open",
            "; ".join(observed.left_open) or "none is",
        ),
    )  # fmt: skip


def _in_time(name: str, took: float | None, limit: float | None) -> Check:
    wanted = f"at most {units.duration(limit)} after the fault" if limit is not None else "ever"
    if took is None:
        return Check(name, False, wanted, "not at all")
    return Check(name, limit is None or took <= limit, wanted, f"after {units.duration(took)}")


def _turned(expect: Expect, cause: str, observed: Observed) -> Check:
    turns = [one for one in observed.turns if one.entity == cause]
    fits = [
        one for one in turns if one.state == expect.state and (expect.kind != "hung" or one.kind == "hung")
    ]
    words = [f"{one.state} ({one.kind})" if one.kind == "hung" else one.state for one in turns]
    wanted = f"{cause} {expect.state}" + (" (hung)" if expect.kind == "hung" else "")
    return Check("state", bool(fits), wanted, " → ".join(words) or "it did not turn")


def _told(expect: Expect, observed: Observed) -> Check:
    # What was told first and corrected later was told wrong at three in the morning.
    return Check(
        "kind", observed.kinds == [expect.kind], expect.kind, " → ".join(observed.kinds) or "nothing"
    )


def _dependants(target: Target, incident: Mapping[str, Any], observed: Observed) -> Check:
    """Whoever hangs on the store and failed meanwhile is in it, after what broke.

    A remedy may come before the harm: a store that is back within half a second is missed by nobody.
    """
    affected = [str(one) for one in incident["affected"]]
    hit = [name for name in target.services if _failed(name, observed)]
    missing = [name for name in hit if name not in affected]
    own = {target.service, target.replica, *target.volumes}
    first = bool(affected) and affected[0] in own
    wanted = f"after what broke: {_names(hit)}" if hit else "after what broke, those whose probes failed"
    found = " → ".join(affected) or "nothing"
    ok = first and not missing
    return Check("dependants", ok, wanted, found + (f"; missing: {_names(missing)}" if missing else ""))


def _failed(service: str, observed: Observed) -> bool:
    prefix = f"replica/{name_of(service)}."
    return any(name.startswith(prefix) for name in observed.failed)


def _tenants(target: Target, incident: Mapping[str, Any], observed: Observed) -> Check:
    felt = [str(one) for one in incident["tenants"]]
    hit = [name for name in target.tenants if name in observed.failed]
    missing = [name for name in hit if name not in felt]
    strange = [name for name in felt if kind_of(name) != "tenant"]
    return Check("tenants", not missing and not strange, _names(hit), _names(felt))


def _done(incident: Mapping[str, Any], remedy: str = "") -> Mapping[str, Any] | None:
    return next(
        (
            one
            for one in incident["remedies"]
            if one["state"] in ASKED and float(one["took_s"] or 0) > 0 and remedy in ("", one["remedy"])
        ),
        None,
    )


def _remedied(expect: Expect, incident: Mapping[str, Any]) -> Check:
    done = _done(incident, expect.remedy)
    told = ", ".join(f"{one['remedy']} {one['state']}" for one in incident["remedies"])
    if done is not None:
        told += f"; done in {units.duration(float(done['took_s']))}"
    return Check("remedy", done is not None, f"{expect.remedy}, asked for and done", told or "none")


def _names(entities: Any) -> str:
    return ", ".join(name_of(str(one)) for one in entities) or "none"
