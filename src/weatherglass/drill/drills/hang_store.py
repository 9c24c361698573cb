"""hang-store: the store's processes are stopped (SIGSTOP). They are there, and nothing answers."""

from __future__ import annotations

from weatherglass.base.ids import name_of
from weatherglass.drill.drill import Drill, Expect, Injected
from weatherglass.drill.house import House
from weatherglass.drill.target import Target


def _inject(house: House, target: Target) -> Injected:
    done = house.fault(target.host, "stop", replica=name_of(target.replica))
    return Injected(
        int(done["at_ns"]), f"SIGSTOP to {name_of(target.replica)}: it is there and does not answer."
    )


def _heal(house: House, target: Target) -> None:
    house.fault(target.host, "cont", replica=name_of(target.replica))


DRILL = Drill(
    "hang-store",
    "Hang the service that most others need (SIGSTOP): told from dead, restarted, healthy again.",
    _inject,
    Expect(kind="hung", state="sick", remedy="restart", healed_s=40.0),
    _heal,
)
