"""Keeping what is declared so: what hosts tell of replicas, rescues asked for, and healing by ourselves.

When to heal is decided in `reconcile`, pure; order and readiness are `carry`'s. One replica is acted on by one
run at a time, and nothing here runs beside an apply.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.base.errors import Invalid, NotFound, WeatherglassError
from weatherglass.base.ids import split_replica
from weatherglass.base.time import SECOND_NS, Clock
from weatherglass.deploy.carry import Carrier, find
from weatherglass.deploy.hands import Hands
from weatherglass.deploy.model import Change, Generation, Observed, Plan, UnitId
from weatherglass.deploy.plan import plan, sentence
from weatherglass.deploy.reconcile import Story, to_heal
from weatherglass.deploy.runs import Run
from weatherglass.deploy.store import Store
from weatherglass.engine.protocols import Bus, Entry, Heartbeat, Ledger, Outcome, ReplicaSeen, Running
from weatherglass.site import Site

TICK_S = 1.0
OBSERVE_S = 15.0
LOOK_EVERY_NS = 30 * SECOND_NS
FRESH_NS = 10 * SECOND_NS
"""A host whose last heartbeat is older is not asked by the reconciler: health speaks for it."""

ACT_S = 60.0
IN_FLIGHT_NS = 3 * SECOND_NS
"""A heartbeat sent before a rescue may arrive after it."""

AUTOMATIC = frozenset({"health", "reconciler"})
"""Who asks without a person behind it: held by back-off and quarantine."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to run: `settled` is False while, and after, an apply did not reach its end."""

    number: int
    generation: Generation
    site: Site
    settled: bool


class Keeper:
    """`target()` is what is to run now, or None; `applying()`, whether an apply is under way. `changing` is held by
    an apply and by a healing, each for all of its time."""

    def __init__(
        self,
        hands: Hands,
        store: Store,
        ledger: Ledger,
        bus: Bus,
        clock: Clock,
        target: Callable[[], Target | None],
        applying: Callable[[], bool],
        changing: threading.Lock,
        stopping: threading.Event,
    ) -> None:
        self._hands, self._store, self._ledger, self._bus, self._clock = hands, store, ledger, bus, clock
        self._target, self._applying = target, applying
        self._changing, self._stopping = changing, stopping
        self._lock = threading.Lock()
        self._stories: dict[str, Story] = {}
        self._acting: dict[str, int] = {}  # replica → the run that acts on it
        self._seen: dict[str, tuple[int, ReplicaSeen]] = {}
        self._hosts: dict[str, tuple[int, str]] = {}  # host → when it was last heard, its agent's boot
        self._live: dict[str, dict[UnitId, Observed]] = {}  # host → what was last observed
        self._wake, self._look = threading.Event(), True
        self._looked_ns = 0
        self._threads: set[threading.Thread] = set()
        hands.heard_ns = self.heard_ns
        self.carrier: Carrier | None = None
        self.trouble = ""

    # --- what hosts tell ---------------------------------------------------------------------------------

    def seen(self, heartbeat: Heartbeat) -> None:
        """Take in what an agent says of its replicas. Never blocks."""
        now = self._clock.now_ns()
        with self._lock:
            if self._hosts.get(heartbeat.host, (0, ""))[1] != heartbeat.boot:
                self._look = True
            self._hosts[heartbeat.host] = now, heartbeat.boot
            for replica in heartbeat.replicas:
                self._seen[replica.replica] = heartbeat.sent_ns, replica
                story = self._stories.get(replica.replica, Story())
                flight = (
                    heartbeat.sent_ns < story.rescued_ns + IN_FLIGHT_NS and replica.state != Running.RUNNING
                )
                if replica.replica in self._acting or self._applying() or flight:
                    continue
                self._stories[replica.replica] = story.seen(replica.state, now)
        self._wake.set()

    def heard_ns(self, host: str) -> int:
        """When a host was last heard of; 0 for never."""
        return self._hosts.get(host, (0, ""))[0]

    def replica_seen(self, name: str) -> tuple[int, ReplicaSeen] | None:
        """(when its host said so, what it said)."""
        return self._seen.get(name)

    def observe(self, hosts: Iterable[str], timeout_s: float = OBSERVE_S) -> dict[UnitId, Observed]:
        """All that these hosts have, looked at now. Raises Unavailable."""
        found = self._hands.observe(hosts, timeout_s)
        with self._lock:
            for host in hosts:
                self._live[host] = {key: seen for key, seen in found.items() if seen.host == host}
        return found

    def live(self) -> dict[UnitId, Observed]:
        """What was last observed everywhere; up to half a minute old."""
        with self._lock:
            return {key: seen for host in self._live.values() for key, seen in host.items()}

    def stories(self) -> dict[str, Story]:
        with self._lock:
            return dict(self._stories)

    def forgive(self) -> None:
        """An apply is a fresh start: failures and quarantines before it no longer count."""
        with self._lock:
            self._stories.clear()

    def look_again(self, *, afresh: bool = False) -> None:
        """Look at the next tick; `afresh` as when the server comes up, with no patience for what is down."""
        if afresh:
            self._looked_ns = 0
        self._look = True
        self._wake.set()

    # --- rescues asked for -------------------------------------------------------------------------------

    def restart(self, name: str, reason: str, who: str, grace_s: float | None = None) -> Outcome:
        """Have one replica restarted; `grace_s` instead of its declared one. Raises NotFound; refusals are in the
        outcome."""
        target = self._target()
        if target is None:
            raise NotFound("nothing is deployed yet", mend="apply a site first")
        find(target.site, name)
        with self._lock:
            if name in self._acting:
                return Outcome(True, str(self._acting[name]), "it is being acted on already")
            if self._applying():
                return Outcome(False, "", "an apply is under way, and sees to it itself")
            story, now = self._stories.get(name, Story()), self._clock.now_ns()
            if who in AUTOMATIC and story.quarantined:
                return Outcome(False, "", f"{name} is quarantined after {len(story.failures)} failures")
            # Who asks is told yes: a refusal would have to be asked again, and nobody knows when.
            wait = max(0.0, (story.not_before_ns() - now) / SECOND_NS) if who in AUTOMATIC else 0.0
            run = Run(self._store, self._bus, self._clock, "restart", who, reason, target.number)
            self._acting[name] = run.id
            if who not in AUTOMATIC:
                self._stories[name] = Story()  # a person begins it anew
        self._spawn(
            f"deploy-restart-{name}", lambda: self._restart(target, name, reason, who, run, grace_s, wait)
        )
        return Outcome(True, str(run.id), f"after a back-off of {wait:.1f} s" if wait else "")

    def _restart(
        self, target: Target, name: str, reason: str, who: str, run: Run, grace_s: float | None, wait: float
    ) -> None:
        entity, began = f"replica/{name}", self._clock.monotonic()
        service, _, host = split_replica(name)
        before = self._seen[name][1].state.value if name in self._seen else ""

        def note(after: Mapping[str, Any]) -> None:
            now = self._clock.now_ns()
            self._ledger.append(
                Entry(now, who, "deploy.restart", entity, reason, before, after, target.number)
            )

        try:
            note({"state": "begun", "run": run.id})
            if wait:
                run.say(
                    f"waiting {wait:.1f} s: {name} went down again soon after it was put up", entity=entity
                )
                if self._stopping.wait(wait):
                    run.end("failed", "the house stopped before its time had come")
                    return
            run.say(f"restarting {name}: {reason}", entity=entity)
            begun_ns = self._clock.now_ns()
            order: dict[str, Any] = {"action": "restart", "replica": name, "reason": reason}
            if grace_s is not None:
                order["grace_s"] = grace_s
            done = self._hands.act(host, order, ACT_S)
            run.say(f"{name} was {done['was']} and is started again", entity=entity, seconds=done["seconds"])
            assert self.carrier is not None  # given before anything is started
            self.carrier.ready(target.site, name, run, begun_ns)
            seconds = self._clock.monotonic() - began
            self._rescued(service, name, seconds)
            note({"state": "running", "run": run.id, "seconds": round(seconds, 2)})
            run.end("done")
        except WeatherglassError as error:
            note({"state": "failed", "run": run.id, "error": error.message})
            self._failed(target, name, host, run)
            run.end("failed", error.message, error.mend)
        finally:
            if run.view.state == "running":
                run.end("failed", "stopped by an error of ours")
            with self._lock:
                self._acting.pop(name, None)
            self.look_again()

    def _rescued(self, service: str, name: str, seconds: float) -> None:
        now = self._clock.now_ns()
        self._store.rescued(service, name, now, seconds)
        with self._lock:
            self._stories[name] = self._stories.get(name, Story()).rescued(now)

    def _failed(self, target: Target, name: str, host: str, run: Run) -> None:
        """Count a failure; one too many and the replica is left alone until a person asks."""
        now = self._clock.now_ns()
        with self._lock:
            story = self._stories[name] = self._stories.get(name, Story()).failed(now)
        if story.worn_out(now, target.site.remedies.quarantine_after):
            self._quarantine(target, name, host, story, run)

    def _quarantine(self, target: Target, name: str, host: str, story: Story, run: Run | None) -> None:
        with self._lock:
            self._stories[name] = Story(failures=story.failures, quarantined=True)
        why = f"{len(story.failures)} failures within 10 minutes"
        entry = Entry(
            self._clock.now_ns(),
            "reconciler",
            "deploy.quarantine",
            f"replica/{name}",
            why,
            None,
            None,
            target.number,
        )
        self._ledger.append(entry)
        text = f"{name} is left alone after {why}; restart it by hand once its cause is mended"
        if run is not None:
            run.say(text, entity=f"replica/{name}", level="bad")
        try:
            self._hands.act(host, {"action": "stop", "replica": name, "wanted": "quarantined"}, ACT_S)
        except WeatherglassError as error:
            self.trouble = f"{name} could not be told of its quarantine: {error.message}"

    def grow(self, volume: str, who: str, why: str, size: int = 0) -> Outcome:
        """Have a sized volume grown, by half or to `size`, up to its `max`. Waits for it. Raises NotFound, Failed."""
        target = self._target()
        units = target.generation.units.values() if target else ()
        unit = next((u for u in units if u.kind == "volume" and u.spec["name"] == volume), None)
        if target is None or unit is None:
            raise NotFound(f"there is no volume {volume}", where=f"volume/{volume}")
        if not unit.spec["size"]:
            raise Invalid(f"volume {volume} has no size, so it cannot grow", where=f"volumes.{volume}.size")
        run = Run(self._store, self._bus, self._clock, "grow", who, why, target.number)

        def note(before: Any, after: Any) -> None:
            now = self._clock.now_ns()
            self._ledger.append(
                Entry(now, who, "deploy.grow", f"volume/{volume}", why, before, after, target.number)
            )

        note(None, {"state": "begun", "run": run.id})
        try:
            done = self._hands.act(unit.host, {"action": "grow", "volume": volume, "size": size}, ACT_S)
        except WeatherglassError as error:
            note(None, {"state": "failed", "error": error.message})
            run.end("failed", error.message, error.mend)
            return Outcome(False, str(run.id), error.message)
        note({"bytes": done["before"]}, {"bytes": done["after"]})
        run.say(
            f"volume {volume}: {done['before']} → {done['after']} bytes",
            entity=f"volume/{volume}",
            level="good",
        )
        run.end("done")
        return Outcome(True, str(run.id))

    def down(self) -> list[str]:
        """Stop every replica and unmount every volume, everywhere; the replicas that ran. Raises Failed, Unavailable."""
        target = self._target()
        hosts = {unit.host for unit in target.generation.units.values()} if target else set()
        stopped: list[str] = []
        for host in sorted(hosts):
            stopped += self._hands.act(host, {"action": "down"}, ACT_S * 5)["stopped"]
        return stopped

    # --- healing by ourselves ----------------------------------------------------------------------------

    def loop(self) -> None:
        """Until stopped: look when something is due, heal what may be healed."""
        while not self._stopping.is_set():
            self._wake.wait(TICK_S)
            self._wake.clear()
            if self._stopping.wait(0.05) or self._store.setting("paused"):
                continue
            try:
                self.tick()
                self.trouble = ""
            except WeatherglassError as error:
                self.trouble = error.message

    def tick(self) -> None:
        """One look and, where due, one healing. Raises what stood in the way."""
        target, now = self._target(), self._clock.now_ns()
        if target is None:
            return
        self._quarantine_worn_out(target, now)
        due = self._look or now - self._looked_ns > LOOK_EVERY_NS
        due = due or any(
            story.due(now) and name not in self._acting for name, story in self.stories().items()
        )
        if not due or not self._changing.acquire(blocking=False):
            return
        try:
            # As busy with replicas of its own as an apply is, but only where there is something to do.
            hosts = [host for host, (heard, _) in self._hosts.items() if now - heard < FRESH_NS]
            if not hosts:
                return
            live = self.observe(hosts)
            first, self._look, self._looked_ns = not self._looked_ns, False, self._clock.now_ns()
            wanted = {key: unit for key, unit in target.generation.units.items() if unit.host in hosts}
            found = plan(wanted, live, target.generation.hash)
            stories = self.stories()
            if first:
                # What is down as the server comes up (a reboot) has been down for long: nobody else will ask.
                stories |= {
                    c.unit.replica: Story(bad_since_ns=1) for c in found.changes if c.unit.kind == "replica"
                }
            approve = frozenset() if first else frozenset(target.site.remedies.approve)
            chosen = to_heal(found.changes, stories, frozenset(self._acting), now, target.settled, approve)
            if chosen:
                self._heal(target, chosen)
        finally:
            self._changing.release()

    def _quarantine_worn_out(self, target: Target, now: int) -> None:
        for name, story in self.stories().items():
            if not story.quarantined and story.worn_out(now, target.site.remedies.quarantine_after):
                self._quarantine(target, name, split_replica(name)[2], story, None)

    def _heal(self, target: Target, chosen: tuple[Change, ...]) -> None:
        why, generation = "it is not as declared", target.generation
        run = Run(self._store, self._bus, self._clock, "heal", "reconciler", why, target.number)
        run.planned(Plan(chosen, generation.hash).to_json())
        names = {change.unit.replica for change in chosen if change.unit.replica}
        with self._lock:
            self._acting |= dict.fromkeys(names, run.id)
        for change in chosen:
            self._note_heal(target, change, "begun", run)
        assert self.carrier is not None  # given before anything is started
        try:
            took = self.carrier.carry(chosen, generation.units, target.site, generation.hash, run)
            for change in chosen:
                self._note_heal(target, change, "done", run)
                if change.unit.replica in took:
                    self._rescued(change.unit.service, change.unit.replica, took[change.unit.replica])
            run.end("done")
        except WeatherglassError as error:
            if self._stopping.is_set():
                run.end("interrupted", "the server stopped")
                return
            fault = getattr(error, "unit", "")
            change = next((change for change in chosen if change.unit.id == fault), chosen[-1])
            self._note_heal(target, change, f"failed: {error.message}", run)
            if change.unit.replica and not change.unit.id.startswith("stray:"):
                self._failed(target, change.unit.replica, change.unit.host, run)
            run.end("failed", error.message, error.mend)
        finally:
            with self._lock:
                for name in names:
                    self._acting.pop(name, None)
            self.look_again()

    def _note_heal(self, target: Target, change: Change, state: str, run: Run) -> None:
        kinds = {"volume": "volume/{name}", "image": "host/{host}"}
        form = kinds.get(change.unit.kind, "replica/{replica}")
        entity = form.format(
            name=change.unit.spec.get("name"), host=change.unit.host, replica=change.unit.replica
        )
        after = {"state": state, "run": run.id}
        now = self._clock.now_ns()
        self._ledger.append(
            Entry(now, "reconciler", "deploy.heal", entity, sentence(change), None, after, target.number)
        )

    # --- threads -----------------------------------------------------------------------------------------

    def _spawn(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, name=name, daemon=True)
        with self._lock:
            self._threads = {each for each in self._threads if each.is_alive()} | {thread}
        thread.start()

    def join(self, timeout_s: float) -> None:
        for thread in list(self._threads):
            thread.join(timeout_s)
