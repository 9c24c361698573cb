"""kill-store: the store's main process is killed."""

from __future__ import annotations

from weatherglass.base.ids import name_of
from weatherglass.drill.drill import Drill, Expect, Injected
from weatherglass.drill.house import House
from weatherglass.drill.target import Target


def _inject(house: House, target: Target) -> Injected:
    done = house.fault(target.host, "kill", replica=name_of(target.replica))
    return Injected(int(done["at_ns"]), f"SIGKILL to {name_of(target.replica)}.")


def _heal(house: House, target: Target) -> None:
    """Nothing is left behind: a killed process is started again by the house or not at all."""


DRILL = Drill(
    "kill-store",
    "Kill the service that most others need (SIGKILL): seen as dead, restarted, healthy again.",
    _inject,
    Expect(kind="dead", state="dead", remedy="restart", seen_s=6.0, healed_s=20.0),
    _heal,
)
