"""Keeps the open incidents: opens, steps and closes them, asks for remedies, writes the ledger.

What an incident becomes is decided in `incidents.py`, which remedy comes next in `remedies.py`; here is the edge:
actions asked, entries written, incidents published. One thread at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from weatherglass.base.errors import Conflict, NotFound, WeatherglassError
from weatherglass.base.ids import EntityId
from weatherglass.base.time import SECOND_NS, Clock
from weatherglass.base.units import duration
from weatherglass.engine.protocols import ActionRegistry, Entry, Ledger, Outcome, Request
from weatherglass.health import causes, incidents, remedies
from weatherglass.health.incidents import View
from weatherglass.health.words import called
from weatherglass.inventory import Incident, Inventory, Moment
from weatherglass.site import Site

Guarded = Callable[[str, Callable[[], Any]], None]
"""Calls into a room that may be unable to write now: `guarded(room, call)`."""

REMEMBERED: Final = 50
"""Incidents of the past whose remedies count for the budget after a restart."""


class Keeper:
    """Open incidents are taken up from the inventory, and with them the budget that is spent."""

    def __init__(
        self, inventory: Inventory, ledger: Ledger, actions: ActionRegistry, clock: Clock, guarded: Guarded
    ) -> None:
        self._inventory, self._ledger, self._actions = inventory, ledger, actions
        self._clock, self._guarded = clock, guarded
        self.open: dict[int, Incident] = {one.id: one for one in inventory.incidents(open_only=True)}
        self.rescue_s: dict[EntityId, float] = {}
        """How long the last remedy of an entity took, twice: what a rescue takes."""
        asked = [
            int(done["asked_ns"])
            for one in inventory.incidents(limit=REMEMBERED)
            for done in one.remedies
            if done["state"] == "asked"
        ]
        self._asked: deque[int] = deque(sorted(asked), maxlen=10_000)

    def look(self, view: View, wrong: Sequence[EntityId], changing: frozenset[EntityId]) -> None:
        """One look: what is wrong joins its incident or opens one, and every incident goes a step on."""
        for group in causes.groups(view.graph, wrong):
            incident = self._belongs(group, view)
            if incident is not None:
                self.open[incident.id] = incidents.spread(incident, group, view)
            elif not all(name in changing for name in group):
                number = max([self._inventory.next_incident(), *(one + 1 for one in self.open)])
                self.open[number] = incidents.opened(number, group, view)
        for incident in list(self.open.values()):
            after = self._step(incident, view, changing)
            if incident.opened_ns == view.now_ns:
                told = {"incident": incident.id}
                self._write("incident.open", after.affected[0], "health", after.sentence, told)
            if after.closed_ns:
                closed = after.cause or after.affected[0]
                self._write("incident.close", closed, "health", after.sentence, {"incident": incident.id})

    def approve(self, number: int, action: str, who: str, site: Site | None) -> Outcome:
        """A person's yes to a proposed remedy. Raises NotFound, Conflict."""
        incident = self.open.get(number)
        if incident is None:
            raise NotFound(f"incident {number} is not open")
        remedy = action.removeprefix("deploy.")
        place = next(
            (
                place
                for place, done in enumerate(incident.remedies)
                if done["remedy"] == remedy and done["state"] == "proposed"
            ),
            None,
        )
        if place is None:
            raise Conflict(f"{remedy} is not proposed for incident {number}", mend="look at it again")
        done = dict(incident.remedies[place])
        entity, now_ns = EntityId(str(done["entity"])), self._clock.now_ns()
        why = f"incident {number}: {incident.sentence}"
        outcome = self._ask(Request(str(done["action"]), entity, who, why))
        done |= {
            "state": "approved" if outcome.accepted else "refused", "asked_ns": now_ns, "who": who,
            "reason": outcome.reason, "reference": outcome.reference,
        }  # fmt: skip
        self._write("remedy.approved", entity, who, why, done)
        kept = (*incident.remedies[:place], done, *incident.remedies[place + 1 :])
        moment = Moment(now_ns, "Remedy", f"Approved by {who}: {remedy} of {called(entity)}.", (entity,))
        self._publish(
            replace(incident, remedies=kept, moments=(*incident.moments, moment)), site, now_ns, incident
        )
        return outcome

    def _belongs(self, group: Sequence[EntityId], view: View) -> Incident | None:
        for incident in self.open.values():
            near = {*incident.affected, EntityId(incident.cause)}
            if incident.cause:
                near.update(view.graph.downstream(EntityId(incident.cause)))
            if near & set(group):
                return incident
        return None

    def _step(self, before: Incident, view: View, changing: frozenset[EntityId]) -> Incident:
        changes: list[Entry] = []
        if not before.cause:
            start = before.onset_ns - int(incidents.CHANGES_S * SECOND_NS)
            entries = self._ledger.read(start_ns=start, end_ns=view.now_ns, limit=200)
            changes = incidents.relevant(entries, before, view.graph)
        incident = incidents.watched(incidents.named(before, view, changes), view)
        if incident.state != "closed" and EntityId(incident.cause) not in changing:
            incident = self._remedy(incident, view)
        last = incident.remedies[-1] if incident.remedies else None
        if last and last["took_s"]:
            self.rescue_s[EntityId(str(last["entity"]))] = max(10.0, 2 * float(last["took_s"]))
        return self._publish(incident, view.site, view.now_ns, before)

    def _remedy(self, incident: Incident, view: View) -> Incident:
        used = remedies.used(self._asked, view.site.remedies.window_s, view.now_ns)
        step = remedies.next_step(view.site, view.graph, incident, view.findings, used, view.now_ns)
        if step is None:
            return incident
        why = f"incident {incident.id}: {incidents.phrased(incident, view.site, view.now_ns).sentence}"
        done, text = self._take(step, why, used, view)
        self._write(f"remedy.{'proposed' if step.waits else step.remedy}", step.entity, "health", why, done)
        return incidents.remedied(incident, done, text, view.now_ns)

    def _take(self, step: remedies.Step, why: str, used: int, view: View) -> tuple[Mapping[str, Any], str]:
        """Propose a remedy or ask for it; what became of it, and in a sentence."""
        what = f"{step.remedy} of {called(step.entity)}"
        if step.waits:
            done = remedies.record(step, view.now_ns, "proposed", step.waits)
            return done, f"Proposed: {what}; {step.waits}."
        try:
            outcome = self._ask(Request(step.action, step.entity, "health", why))
        except NotFound as error:
            done = remedies.record(step, view.now_ns, "missing", error.message)
            return done, f"The {what} is not on offer here."
        if not outcome.accepted:
            done = remedies.record(step, view.now_ns, "refused", outcome.reason, outcome.reference)
            return done, f"The {what} was refused: {outcome.reason}."
        self._asked.append(view.now_ns)
        guard = view.site.remedies
        done = remedies.record(step, view.now_ns, "asked", outcome.reason, outcome.reference)
        return done, f"Asked for {what} ({used + 1} of {guard.budget} in {duration(guard.window_s)})."

    def _ask(self, request: Request) -> Outcome:
        """What the action's room says; what it raises is a refusal, but for an action that nobody offers."""
        try:
            return self._actions.ask(request)
        except NotFound:
            raise
        except WeatherglassError as error:
            return Outcome(False, reason=error.message)

    def _publish(self, incident: Incident, site: Site | None, now_ns: int, before: Incident) -> Incident:
        if site is not None:
            incident = incidents.phrased(incident, site, now_ns)
        self.open[incident.id] = incident
        if incident.closed_ns:
            del self.open[incident.id]
        if incident != before or incident.opened_ns == now_ns:
            self._guarded("inventory", lambda: self._inventory.publish_incident(incident))
        return incident

    def _write(self, what: str, entity: str, who: str, why: str, after: Any) -> None:
        entry = Entry(self._clock.now_ns(), who, what, entity, why, None, after)
        self._guarded("ledger", lambda: self._ledger.append(entry))
