"""A fake deploy room: made-up generations, a plan with reasons, a run; what is asked of it is remembered."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from weatherglass.base.errors import NotFound
from weatherglass.deploy.model import Change, Plan, Reason, Unit


class FakeDeploy:
    def __init__(self, deployed: bool, at: Callable[[str], int]) -> None:
        self.deployed, self.at = deployed, at
        self.asked: list[tuple[str, ...]] = []

    def generations(self) -> list[Any]:
        if not self.deployed:
            return []
        rows = (
            (41, "9c1f02ab77", "12:06:10", "mira", "neutron 29.0.1, canary first"),
            (40, "51e0aa3c19", "08:40:00", "noor", "memcached gets 2 GB"),
            (39, "0b77c2d410", "08:00:00", "house", "first start"),
        )
        return [
            SimpleNamespace(number=n, hash=h * 6, at_ns=self.at(t), who=who, why=why, live=n == 41, units=112)
            for n, h, t, who, why in rows
        ]

    def plan(self, path: Any = None) -> Plan:
        if not self.deployed:
            return Plan(())
        glance = Unit("replica/glance.2@ctl-2", "process", "ctl-2", {}, "glance", "glance.2@ctl-2")
        conf = Unit("file/ctl-1/keystone.conf", "file", "ctl-1", {}, "keystone", "")
        extra = Unit("replica/debug.1@cmp-3", "process", "cmp-3", {}, "debug", "debug.1@cmp-3")
        return Plan(
            (
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
                Change(
                    extra, "remove", (Reason("declared", "never", "no"),), ("replica/debug.1@cmp-3",), "no"
                ),
            ),
            "77aa10bc55" * 6,
            "aa",
            ("the data of volume/objects stays on str-1",),
        )

    def runs(self, limit: int = 20) -> list[Any]:
        return [self.run("62"), self.run("61")] if self.deployed else []

    def run(self, id: str) -> Any:
        if not self.deployed or id not in ("61", "62"):
            raise NotFound(f"no run {id}")
        done = id == "61"
        step = SimpleNamespace
        return SimpleNamespace(
            id=id, state="done" if done else "running", kind="apply" if done else "restart", who="mira" if done else "health",
            generation=41, started_ns=self.at("12:06:10" if done else "14:02:20"), ended_ns=self.at("12:07:02") if done else 0, error="",
            items=(
                step(at_ns=self.at("12:06:11"), host="ctl-1", unit="replica/neutron.1@ctl-1", action="replace", status="done", text="canary: 12 probes good"),
                step(at_ns=self.at("12:06:31"), host="ctl-2", unit="replica/neutron.2@ctl-2", action="replace", status="done", text="verified in 6 s"),
                step(at_ns=self.at("12:06:52"), host="ctl-3", unit="replica/neutron.3@ctl-3", action="replace", status="done" if done else "progress", text="starting" if not done else "verified in 7 s"),
            ),
        )  # fmt: skip

    def live(self) -> dict[str, Any]:
        return {}

    def restart(self, replica: str, reason: str, who: str) -> str:
        self.asked.append(("restart", replica, reason, who))
        return "63"

    def rollback(self, who: str, to: int | None = None) -> str:
        self.asked.append(("rollback", str(to), who))
        return "64"

    def apply(self, path: Any, who: str, why: str) -> str:
        self.asked.append(("apply", who, why))
        return "65"
