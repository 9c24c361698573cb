"""What a drill is: what it breaks, what must follow and by when, how it is undone. Values; running is `run.py`'s."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from weatherglass.base.ids import EntityId
from weatherglass.drill.house import House
from weatherglass.drill.target import Target


@dataclass(frozen=True, slots=True)
class Injected:
    """The fault, as its agent answered: when (the host's clock, ns), and what was done in a sentence."""

    at_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class Expect:
    """What the house must make of the fault. Seconds count from the moment the fault was asked for."""

    kind: str
    """What the incident must be told as: dead, hung, full."""
    state: str
    """The state that the broken entity must turn to."""
    remedy: str
    """What the house must do by itself."""
    healed_s: float
    """All that was affected is well again by then."""
    seen_s: float | None = None
    """The incident is open by then; None where only what it is told as counts."""
    cause: Callable[[Target], EntityId] = lambda target: target.replica
    """The entity that must be named as the cause."""


Act = Callable[[House, Target], None]


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. `keep` is repeated until the incident is open; `heal` takes back what was injected, always."""

    name: str
    doc: str
    inject: Callable[[House, Target], Injected]
    expect: Expect
    heal: Act
    keep: Act | None = None
    needs_volume: bool = False
