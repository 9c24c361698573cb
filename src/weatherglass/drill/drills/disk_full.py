"""disk-full: the store's volume is filled to the last byte and kept so until the house has seen it."""

from __future__ import annotations

from weatherglass.base import units
from weatherglass.base.ids import name_of
from weatherglass.drill.drill import Drill, Expect, Injected
from weatherglass.drill.house import House
from weatherglass.drill.target import Target


def _inject(house: House, target: Target) -> Injected:
    done = house.fault(target.host, "fill", volume=name_of(target.volume), leave_bytes=0)
    taken, left = units.size(done["bytes"]), units.size(done["free_bytes"])
    return Injected(int(done["at_ns"]), f"{taken} of ballast into {name_of(target.volume)}; {left} are free.")


def _keep(house: House, target: Target) -> None:
    """A database gives back what it can (logs, temporary files); the disk is to stay full."""
    house.fault(target.host, "fill", volume=name_of(target.volume), leave_bytes=0)


def _heal(house: House, target: Target) -> None:
    house.fault(target.host, "unfill", volume=name_of(target.volume))


DRILL = Drill(
    "disk-full",
    "Fill the volume of the service that most others need: named as the cause, grown, healthy again.",
    _inject,
    Expect(
        kind="full",
        state="sick",
        remedy="grow",
        seen_s=20.0,
        healed_s=150.0,
        cause=lambda target: target.volume,
    ),
    _heal,
    _keep,
    needs_volume=True,
)
