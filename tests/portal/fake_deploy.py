"""A fake deploy room: made-up generations, a plan with reasons, runs; what is asked of it is remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weatherglass.base.errors import NotFound
from weatherglass.deploy.model import Change, Plan, Reason, Unit
from weatherglass.deploy.runs import Item, RunView
from weatherglass.deploy.store import GenerationRow
from weatherglass.engine.protocols import Outcome


class FakeDeploy:
    def __init__(self, deployed: bool, at: Callable[[str], int]) -> None:
        self.deployed, self.at = deployed, at
        self.asked: list[tuple[str, ...]] = []

    def generations(self) -> list[GenerationRow]:
        rows = (
            (41, "9c1f02ab77", "12:06:10", "mira", "neutron 29.0.1, canary first", "live"),
            (40, "51e0aa3c19", "08:40:00", "noor", "memcached gets 2 GB", "superseded"),
            (39, "0b77c2d410", "08:00:00", "house", "first start", "superseded"),
        )
        return [GenerationRow(n, h * 6, self.at(t), w, y, s) for n, h, t, w, y, s in rows if self.deployed]

    def plan(self, source: Any = None) -> Plan:
        glance = Unit("replica/glance.2@ctl-2", "process", "ctl-2", {}, "glance", "glance.2@ctl-2")
        conf = Unit("file/ctl-1/keystone.conf", "file", "ctl-1", {}, "keystone", "")
        extra = Unit("replica/debug.1@cmp-3", "process", "cmp-3", {}, "debug", "debug.1@cmp-3")
        changes = (
            Change(conf, "replace", (Reason("content", "line 14: debug = true", "debug = false"),), ()),
            Change(
                glance,
                "replace",
                (
                    Reason("command", "glance-api --workers 2", "glance-api --workers 4"),
                    Reason("environment.REGION", "", "north"),
                ),
                ("replica/glance.2@ctl-2",),
            ),
            Change(extra, "remove", (Reason("declared", "never", "no"),), ("replica/debug.1@cmp-3",), "no"),
        )
        notes = ("the data of volume/objects stays on str-1",)
        return Plan(changes, "77aa10bc55" * 6, "aa", notes) if self.deployed else Plan(())

    def drift(self) -> Plan:
        whole = self.plan()
        return Plan(whole.changes[:1], whole.generation)

    def runs(self, limit: int = 50) -> list[RunView]:
        return [self.run(62), self.run(61)] if self.deployed else []

    def run(self, number: int) -> RunView:
        at = self.at
        done = RunView(
            61, "apply", "mira", "neutron 29.0.1, canary first", 41, "done", 1.0, at("12:06:10"), at("12:07:02"), items=(
                Item(at("12:06:11"), "canary: new command, 12 probes good", "replica/neutron.1@ctl-1", "good", 9.2),
                Item(at("12:06:31"), "replaced and verified", "replica/neutron.2@ctl-2", "good", 6.1),
                Item(at("12:06:52"), "replaced and verified", "replica/neutron.3@ctl-3", "good", 7.0),
            ),
        )  # fmt: skip
        going = RunView(
            62, "restart", "health", "hung, seen by its host", 41, "running", 0.6, at("14:02:20"), items=(
                Item(at("14:02:20"), "stopping: TERM, then KILL after 10 s", "replica/mariadb.1@ctl-2"),
                Item(at("14:02:31"), "it did not leave; killed", "replica/mariadb.1@ctl-2", "bad"),
            ),
        )  # fmt: skip
        found = {61: done, 62: going}.get(number) if self.deployed else None
        if found is None:
            raise NotFound(f"no run {number}")
        return found

    def status(self) -> dict[str, Any]:
        return {
            "generation": 41,
            "state": "live",
            "run": 62,
            "paused": False,
            "quarantined": [],
            "trouble": {},
        }

    def restart(self, replica: str, reason: str, who: str) -> Outcome:
        self.asked.append(("restart", replica, reason, who))
        return Outcome(True, "62")

    def rollback(self, *, who: str, why: str = "", to: int | None = None) -> int:
        self.asked.append(("rollback", str(to), why, who))
        return 62

    def apply(self, source: Any = None, *, who: str, why: str = "") -> int:
        self.asked.append(("apply", why, who))
        return 62
