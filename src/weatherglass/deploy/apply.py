"""The server's side of deployment: check, plan, apply, roll back, and what there is to see of it all.

The one actor on services; everyone else asks (the actions registered here). Every change has its intent in the
ledger before and its outcome after; a run that was cut short is looked at again, never believed. What changes,
and in which order, is `plan`'s; doing it `carry`'s; rescues and healing are `keeper`'s.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from weatherglass.base.errors import Conflict, Invalid, NotFound, WeatherglassError
from weatherglass.base.ids import name_of
from weatherglass.base.time import Clock
from weatherglass.deploy import units
from weatherglass.deploy.carry import Carrier, Prober
from weatherglass.deploy.hands import Hands, Orders
from weatherglass.deploy.keeper import Keeper, Target
from weatherglass.deploy.model import Generation, Observed, Plan, UnitId, generation
from weatherglass.deploy.places import write_private
from weatherglass.deploy.plan import plan
from weatherglass.deploy.runs import Run, RunView, run_from_json
from weatherglass.deploy.store import GenerationRow, Store
from weatherglass.engine.blobs import Blobs
from weatherglass.engine.protocols import ActionRegistry, Bus, Entry, Heartbeat, Ledger, Outcome, Request
from weatherglass.engine.tables import Tables
from weatherglass.site import Graph, Site, graph, load, parse, probe_specs

FIRST_OBSERVE_S = 60.0
"""An agent that starts beside the server may need a while to open its stream."""


class Declared(Protocol):
    """Where the declared graph goes (`inventory.Inventory`)."""

    def declare(self, graph: Graph, generation: int, at_ns: int) -> None: ...


class Deploy:
    """Facade of the room, for the house, the gateway and the portal. Callable from any thread.

    `site_path` is the declaration that is meant when none is named. `secret(name)` gives a value (NotFound);
    `probe` asks a replica its probe from the server; `on_site` is told of each site that counts from now on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        site_path: Path | None,
        work: Orders,
        inventory: Declared,
        ledger: Ledger,
        bus: Bus,
        tables: Tables,
        blobs: Blobs,
        clock: Clock,
        actions: ActionRegistry,
        secret: Callable[[str], str],
        probe: Prober,
        on_site: Callable[[Site, int], None] = lambda site, number: None,
    ) -> None:
        self.site_path = site_path
        self._inventory, self._ledger, self._bus, self._clock = inventory, ledger, bus, clock
        self._secret, self._on_site = secret, on_site
        self._key = _key(folder / "fingerprint.key")
        self._store = Store(tables, blobs)
        self._changing, self._setting_out = threading.Lock(), threading.Lock()
        self._stopping = threading.Event()
        self._target: Target | None = None
        self._run: Run | None = None
        self._trouble = ""
        self._thread: threading.Thread | None = None
        self._loop: threading.Thread | None = None
        hands = Hands(work, clock, self._stopping)
        self._keeper = Keeper(
            hands, self._store, ledger, bus, clock, self.target, self.applying, self._changing, self._stopping
        )
        self._carrier = Carrier(hands, probe, self._keeper.replica_seen, clock, self._stopping)
        self._keeper.carrier = self._carrier
        for action, handler, doc in (
            ("deploy.restart", self._asked_restart, "Restart one replica (entity replica/…; args: grace_s)."),
            ("deploy.grow", self._asked_grow, "Grow a sized volume (entity volume/…; args: size in bytes)."),
            ("deploy.rollback", self._asked_rollback, "Go back to an earlier generation (args: to)."),
        ):
            actions.register(action, handler, doc)

    # --- coming and going --------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what was: the last generation, and an apply that was cut short. Starts the reconciler."""
        for body in self._store.runs("running"):
            view = run_from_json(body) if body else None
            if view is not None:
                cut = view.to_json() | {"state": "interrupted", "ended_ns": self._clock.now_ns()}
                self._store.keep_run(view.id, "interrupted", cut)
        rows = self._store.generations(1)
        if rows:
            try:
                self._take_up(rows[0])
            except WeatherglassError as error:
                # Not a reason to be blind as well: the server comes up and says so.
                self._trouble = (
                    f"generation {rows[0].number} cannot be taken up, apply the site again: {error.message}"
                )
        self._loop = threading.Thread(target=self._keeper.loop, name="deploy-reconcile", daemon=True)
        self._loop.start()

    def _take_up(self, row: GenerationRow) -> None:
        made = self._store.generation(row.number)
        site = parse(made.sources, made.main)
        self._aim(Target(row.number, made, site, row.state == "live"))
        if row.state == "applying":
            why = "the server stopped in the middle of it; looked at again"
            self._begin("apply", row.who, why, made, site, row.number)

    def stop(self) -> None:
        """Let go within two seconds. What runs goes on; a run under way is taken up at the next start."""
        self._stopping.set()
        for thread in (self._thread, self._loop):
            if thread is not None:
                thread.join(0.4)
        self._keeper.join(0.1)

    # --- before a change ---------------------------------------------------------------------------------

    def check(self, source: Path | str | None = None) -> Site:
        """All that apply would refuse by itself. Text stands for the main file beside those known already.

        Raises Invalid with every problem.
        """
        site, _ = self._read(source)
        units.check(site, self._fingerprint)
        return site

    def plan(self, source: Path | str | None = None) -> Plan:
        """What an apply would change now. Raises Invalid, Unavailable (a host does not answer)."""
        site, main = self._read(source)
        made = self._generation(site, main)
        return plan(made.units, self._keeper.observe(self._hosts(made)), made.hash)

    def _read(self, source: Path | str | None) -> tuple[Site, str]:
        """A site and the name of its main file."""
        if isinstance(source, str):
            known = self._target.generation if self._target else None
            path = self.site_path
            main = known.main if known else path.name if path else "site.yaml"
            beside = (
                dict(known.sources) if known else dict(load(path).sources) if path and path.exists() else {}
            )
            return parse({**beside, main: source}, main), main
        path = source or self.site_path
        if path is None:
            raise Invalid("no site is named", mend="give the file that declares it")
        return load(path), path.name

    def _generation(self, site: Site, main: str) -> Generation:
        return generation(site.name, units.check(site, self._fingerprint).values(), site.sources, main)

    def _hosts(self, made: Generation) -> set[str]:
        before = self._target.generation.units.values() if self._target else ()
        return {unit.host for unit in (*made.units.values(), *before)}

    def _fingerprint(self, name: str) -> str:
        """Changes when the secret's value does, and tells nothing of it."""
        text = f"{name}\0{self._secret(name)}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:16]

    # --- changes -----------------------------------------------------------------------------------------

    def apply(
        self,
        source: Path | str | None = None,
        *,
        who: str,
        why: str = "",
        expect: Mapping[str, Any] | None = None,
    ) -> int:
        """Begin to make the declaration so; the run's id. `expect` is a saved plan's JSON: it is refused when the
        declaration or what runs is no longer what it was made from.

        Raises Invalid, Conflict (stale, or a run is under way), Unavailable.
        """
        site, main = self._read(source)
        made = self._generation(site, main)
        if expect is not None:
            self._still(expect, made)
        return self._begin("apply", who, why, made, site)

    def _still(self, expect: Mapping[str, Any], made: Generation) -> None:
        now = plan(made.units, self._keeper.observe(self._hosts(made)), made.hash)
        for part, what in (("generation", "the declaration"), ("observed", "what runs")):
            if expect.get(part) != getattr(now, part):
                mend = "plan again and look at what it says"
                raise Conflict(f"{what} is no longer what this plan was made from", where="plan", mend=mend)

    def rollback(self, *, who: str, why: str = "", to: int | None = None) -> int:
        """Begin to go back to generation `to`, or the last that was live before this one; the run's id.

        Raises NotFound, Conflict.
        """
        rows = self._store.generations()
        if to is None:
            earlier = [
                row.number
                for row in rows[1:]
                if row.state in ("live", "superseded") and row.hash != rows[0].hash
            ]
            if not earlier:
                raise NotFound("there is no earlier generation to go back to")
            to = earlier[0]
        made = self._store.generation(to)
        site = parse(made.sources, made.main)
        why = why or f"back to generation {to}"
        return self._begin("rollback", who, why, made, site)

    def _begin(
        self, kind: str, who: str, why: str, made: Generation, site: Site, number: int | None = None
    ) -> int:
        """Number a generation (the one that is live already keeps its own) and set out for it."""
        with self._setting_out:
            if self.applying():
                assert self._run is not None  # it is what is under way
                raise Conflict(
                    f"run {self._run.id} ({self._run.view.kind}) is under way",
                    where=f"run {self._run.id}",
                    mend="wait for its end",
                )
            rows = self._store.generations(1)
            known = self._target is not None and rows and rows[0].hash == made.hash
            if number is None and known and rows[0].state == "live":
                number = rows[0].number
            number = number or self._store.add(made, self._clock.now_ns(), who, why)
            run = self._run = Run(self._store, self._bus, self._clock, kind, who, why, number)
            arguments = (kind, Target(number, made, site, False), run, self._hosts(made))
            self._thread = threading.Thread(
                target=self._carry_out, args=arguments, name=f"deploy-{kind}", daemon=True
            )
            self._thread.start()
            return run.id

    def applying(self) -> bool:
        """Whether an apply or a rollback is under way."""
        return self._run is not None and self._run.view.state == "running"

    def _carry_out(self, kind: str, target: Target, run: Run, hosts: set[str]) -> None:
        try:
            if self._changing.locked():
                run.say("waiting for a healing under way to end")
            with self._changing:
                self._apply(kind, target, run, hosts)
        finally:
            if run.view.state == "running":
                run.end("failed", "stopped by an error of ours", "see the server's log")
            self._keeper.look_again()

    def _apply(self, kind: str, target: Target, run: Run, hosts: Iterable[str]) -> None:
        before = self._target.number if self._target else 0
        self._note(kind, target, run, before, {"state": "begun", "run": run.id})
        try:
            live = self._keeper.observe(hosts, FIRST_OBSERVE_S)
            found = plan(target.generation.units, live, target.generation.hash)
            run.planned(found.to_json())
            # From here the new declaration counts: what it adds must be known to be watched.
            self._aim(target)
            self._keeper.forgive()
            if found:
                run.say(f"{len(found.changes)} changes for generation {target.number}")
                self._carrier.carry(
                    found.changes, target.generation.units, target.site, target.generation.hash, run
                )
                left = plan(target.generation.units, self._keeper.observe(hosts), target.generation.hash)
                if left:
                    raise Conflict(f"{left.changes[0].unit.id} is not as declared though it was just made so")
            self._store.turn(target.number, "live")
            self._trouble = ""
            self._aim(Target(target.number, target.generation, target.site, True))
            self._note(
                kind, target, run, before, {"state": "live", "changes": len(found.changes), "run": run.id}
            )
            run.say(f"generation {target.number} is live" if found else "nothing to change", level="good")
            run.end("done")
        except WeatherglassError as error:
            if self._stopping.is_set():
                run.end("interrupted", "the server stopped; it goes on at the next start")
                return
            self._store.turn(target.number, "failed")
            self._note(kind, target, run, before, {"state": "failed", "error": error.message, "run": run.id})
            run.end("failed", error.message, self._way_out(error, before, run))

    @staticmethod
    def _way_out(error: WeatherglassError, before: int, run: Run) -> str:
        """What is live now, and how to go on or back."""
        back = f"`weatherglass rollback --to {before}`" if before else "there is nothing to go back to yet"
        made = sum(item.level == "good" for item in run.view.items)
        state = f"{made} replicas of it are up; what was not reached runs as before"
        return ". ".join(filter(None, (error.mend, state, f"Mend and apply again, or go back: {back}")))

    def _aim(self, target: Target) -> None:
        """From now on this is what is to run."""
        fresh = self._target is None or self._target.number != target.number
        self._target = target
        if fresh:
            self._inventory.declare(graph(target.site), target.number, self._clock.now_ns())
            self._on_site(target.site, target.number)
            self._bus.publish("deploy", {"generation": target.number, "state": "declared"})

    def _note(self, what: str, target: Target, run: Run, before: int, after: Mapping[str, Any]) -> None:
        now, entity = self._clock.now_ns(), f"site/{target.site.name}"
        self._ledger.append(
            Entry(
                now,
                run.view.who,
                f"deploy.{what}",
                entity,
                run.view.why,
                {"generation": before},
                after,
                target.number,
            )
        )

    # --- single acts -------------------------------------------------------------------------------------

    def restart(self, replica: str, reason: str, who: str, grace_s: float | None = None) -> Outcome:
        """Have a replica restarted and proven by its probe; `reference` is the run. Raises NotFound."""
        return self._keeper.restart(replica, reason, who, grace_s)

    def grow(self, volume: str, *, who: str, why: str, size: int = 0) -> Outcome:
        """Have a sized volume grown, by half or to `size` bytes. Raises NotFound, Invalid."""
        return self._keeper.grow(volume, who, why, size)

    def pause(self, who: str, why: str = "") -> None:
        """The reconciler only looks from now on; health's and people's restarts are still done."""
        self._set_paused("yes", "deploy.pause", who, why)

    def resume(self, who: str, why: str = "") -> None:
        self._set_paused("", "deploy.resume", who, why)
        self._keeper.look_again(afresh=True)

    def down(self, who: str, why: str = "") -> list[str]:
        """Take the site down: pause, stop every replica, unmount every volume; `resume` brings all of it back."""
        self.pause(who, why or "taken down")
        stopped = self._keeper.down()
        site = self._target.site.name if self._target else "site"
        after = {"stopped": stopped}
        self._ledger.append(Entry(self._clock.now_ns(), who, "deploy.down", f"site/{site}", why, None, after))
        return stopped

    def _set_paused(self, value: str, what: str, who: str, why: str) -> None:
        site = self._target.site.name if self._target else "site"
        self._store.set("paused", value)
        self._ledger.append(Entry(self._clock.now_ns(), who, what, f"site/{site}", why))

    def _asked_restart(self, request: Request) -> Outcome:
        grace = request.args.get("grace_s")
        grace_s = None if grace is None else float(grace)
        return self.restart(name_of(request.entity), request.why, request.who, grace_s)

    def _asked_grow(self, request: Request) -> Outcome:
        size = int(request.args.get("size", 0))
        return self.grow(name_of(request.entity), who=request.who, why=request.why, size=size)

    def _asked_rollback(self, request: Request) -> Outcome:
        to = request.args.get("to")
        return Outcome(True, str(self.rollback(who=request.who, why=request.why, to=int(to) if to else None)))

    # --- what there is to see ----------------------------------------------------------------------------

    def target(self) -> Target | None:
        """What is to run: number, generation, site, and whether the last apply reached its end."""
        return self._target

    def site(self) -> Site | None:
        return self._target.site if self._target else None

    def seen(self, heartbeat: Heartbeat) -> None:
        """What an agent says; for every heartbeat. Never blocks."""
        self._keeper.seen(heartbeat)

    def run(self, number: int) -> RunView:
        """Raises NotFound."""
        if self._run is not None and self._run.id == number:
            return self._run.view
        return run_from_json(self._store.run(number))

    def runs(self, limit: int = 50) -> list[RunView]:
        """Newest first."""
        return [run_from_json(body) for body in self._store.runs(limit=limit) if body]

    def generations(self) -> list[GenerationRow]:
        """Newest first."""
        return self._store.generations()

    def live(self) -> dict[UnitId, Observed]:
        """What was last observed, everywhere."""
        return self._keeper.live()

    def drift(self) -> Plan:
        """What differs from the declaration, as last observed (no order is sent)."""
        if self._target is None:
            return Plan(())
        made = self._target.generation
        return plan(made.units, self._keeper.live(), made.hash)

    def rescue_seconds(self, service: str) -> float | None:
        """The median of a service's last rescues, from the order to a good answer; None before the first."""
        return self._store.rescue_seconds(service)

    def secrets_of(self, host: str) -> frozenset[str]:
        """The secrets that a host's agent may fetch: those of its units and of the probes it makes."""
        if self._target is None:
            return frozenset()
        names = {
            name
            for u in self._target.generation.units.values()
            if u.host == host
            for name in u.spec.get("secrets", ())
        }
        asked = {str(spec["password"]) for spec in probe_specs(self._target.site, host)}
        return frozenset(names | asked - {""})

    def status(self) -> dict[str, Any]:
        """In one look: generation, its state, the run under way, what is quarantined, what stands in the way."""
        rows = self._store.generations(1)
        run = self._run.view if self._run else None
        stories = self._keeper.stories()
        return {
            "generation": rows[0].number if rows else 0,
            "state": rows[0].state if rows else "none",
            "run": run.id if run and run.state == "running" else None,
            "paused": bool(self._store.setting("paused")),
            "quarantined": sorted(name for name, story in stories.items() if story.quarantined),
            "trouble": self._trouble or self._keeper.trouble,
        }


def _key(path: Path) -> bytes:
    """The key that fingerprints of secrets are made with: made once, never leaves the state folder."""
    if not path.exists():
        write_private(path, random.token_bytes(32))
    return path.read_bytes()
