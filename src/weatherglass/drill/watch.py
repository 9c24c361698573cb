"""What was seen over HTTP while a drill lasted: folded from one look after the other. `Looker` asks, the rest is pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from weatherglass.drill.house import House
from weatherglass.drill.target import Target

WRONG = ("sick", "dying", "dead")
INCIDENTS = 20


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the house: its states, its newest incidents, its probes."""

    at_ns: int
    states: Mapping[str, Mapping[str, Any]]
    incidents: tuple[Mapping[str, Any], ...]
    probes: tuple[Mapping[str, Any], ...] = ()

    @property
    def opened(self) -> list[Mapping[str, Any]]:
        return [one for one in self.incidents if one["state"] != "closed"]


@dataclass(frozen=True, slots=True)
class Turn:
    """An entity seen in another state than before; `kind` is hung, intrinsic, extrinsic or nothing."""

    at_ns: int
    entity: str
    state: str
    kind: str = ""


@dataclass(slots=True)
class Observed:
    """All that a drill saw. Instants are of the server's clock, when it was seen here; 0 where it never was."""

    asked_ns: int
    before: frozenset[int] = frozenset()  # incidents that were there already
    seen_ns: int = 0
    named_ns: int = 0
    turns: list[Turn] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)  # entity → when its probe failed first
    incident: Mapping[str, Any] | None = None
    others: dict[int, str] = field(default_factory=dict)  # incidents besides: number → sentence
    kinds: list[str] = field(default_factory=list)  # what the incident was told as, one after the other
    calm: bool = False
    left_open: list[str] = field(default_factory=list)
    silent: int = 0  # looks that the house did not answer

    def add(self, look: Look, about: frozenset[str]) -> None:
        """Take in a look; `about` are the entities of which one makes an incident this drill's own."""
        for name, one in look.states.items():
            self._turn(look.at_ns, name, str(one["state"]), str(one["kind"]))
        for probe in look.probes:
            if not probe["ok"] and int(probe["at_ns"]) >= self.asked_ns:
                self.failed.setdefault(str(probe["entity"]), int(probe["at_ns"]))
        for one in sorted(look.incidents, key=lambda each: int(each["id"])):
            if one["id"] not in self.before:
                self._incident(one, look.at_ns, about)
        self.left_open = [str(one["sentence"]) for one in look.opened]
        wrong = [name for name, one in look.states.items() if one["state"] in WRONG]
        self.calm = self.incident is not None and not self.left_open and not wrong

    def _turn(self, at_ns: int, name: str, state: str, kind: str) -> None:
        before = next((one for one in reversed(self.turns) if one.entity == name), None)
        if before is None and state not in WRONG:
            return
        if before is None or (before.state, before.kind) != (state, kind):
            self.turns.append(Turn(at_ns, name, state, kind))

    def _incident(self, one: Mapping[str, Any], at_ns: int, about: frozenset[str]) -> None:
        ours = self.incident is not None and one["id"] == self.incident["id"]
        if not ours and (self.incident is not None or about.isdisjoint({one["cause"], *one["affected"]})):
            self.others[int(one["id"])] = str(one["sentence"])
            return
        self.others.pop(int(one["id"]), None)
        self.incident = one
        self.seen_ns = self.seen_ns or at_ns
        if one["cause"] and not self.named_ns:
            self.named_ns = at_ns
        if one["kind"] and one["kind"] not in self.kinds[-1:]:
            self.kinds.append(str(one["kind"]))


class Looker:
    """Asks the house."""

    def __init__(self, house: House) -> None:
        self._house = house

    def look(self, probes: bool = True) -> Look:
        """Raises Unavailable."""
        house = self._house
        return Look(
            states={str(one["entity"]): one for one in self._states()},
            incidents=tuple(house.get("incidents", limit=INCIDENTS)["incidents"]),
            probes=tuple(house.get("probes")["probes"]) if probes else (),
            at_ns=house.now_ns(),
        )

    def _states(self) -> Iterable[Mapping[str, Any]]:
        after = ""
        while True:
            page = self._house.get("states", limit=1000, after=after)
            yield from page["states"]
            after = str(page["next"])
            if not after:
                return


def unwell(look: Look, target: Target) -> list[str]:
    """Why a drill may not begin now: what is wrong, what is not known to be well, what is still open."""
    told = [f"{name} is {one['state']}" for name, one in look.states.items() if one["state"] in WRONG]
    chain = (target.service, target.replica, *target.services, *target.tenants)
    told += [
        f"{name} is {state}"
        for name in chain
        if (state := str(look.states.get(name, {"state": "unknown"})["state"])) == "unknown"
    ]
    told += [f"incident {one['id']} is open: {one['sentence']}" for one in look.opened]
    return told
