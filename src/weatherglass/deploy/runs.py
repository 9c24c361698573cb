"""A run: what an apply, a rollback, a rescue did and when, told as it happens. It does nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from weatherglass.base.time import Clock
from weatherglass.deploy.store import Store
from weatherglass.engine.protocols import Bus

ITEMS = 2000
"""Lines a run keeps; a run with more (a very long build) loses its oldest."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a run. `level`: info, good, bad."""

    at_ns: int
    text: str
    entity: str = ""
    level: str = "info"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it stands. `state`: running, done, failed, interrupted. `fraction` 0…1."""

    id: int
    kind: str  # apply, rollback, restart, grow, heal
    who: str
    why: str
    generation: int
    state: str
    fraction: float
    started_ns: int
    ended_ns: int = 0
    error: str = ""
    mend: str = ""
    items: tuple[Item, ...] = ()
    plan: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run_from_json(body: Mapping[str, Any]) -> RunView:
    return RunView(**{**body, "items": tuple(Item(**item) for item in body["items"])})


class Run:
    """A run under way: `view` is always whole; each line goes out on the bus (topic `deploy`)."""

    def __init__(
        self, store: Store, bus: Bus, clock: Clock, kind: str, who: str, why: str, generation: int
    ) -> None:
        self._store, self._bus, self._clock = store, bus, clock
        self._lock = threading.Lock()
        now = clock.now_ns()
        self.view = RunView(store.new_run(kind, now), kind, who, why, generation, "running", 0.0, now)
        self.keep()

    @property
    def id(self) -> int:
        return self.view.id

    def say(self, text: str, *, entity: str = "", level: str = "info", seconds: float = 0.0) -> None:
        item = Item(self._clock.now_ns(), text, entity, level, round(seconds, 3))
        with self._lock:
            self.view = replace(self.view, items=(*self.view.items[-(ITEMS - 1) :], item))
        self._publish({"item": asdict(item)})

    def reach(self, fraction: float) -> None:
        """How far it is. Never goes back: hosts report beside each other."""
        with self._lock:
            self.view = replace(self.view, fraction=max(self.view.fraction, min(fraction, 1.0)))

    def planned(self, plan: Mapping[str, Any]) -> None:
        with self._lock:
            self.view = replace(self.view, plan=plan)
        self.keep()

    def end(self, state: str, error: str = "", mend: str = "") -> None:
        """The last word: kept before it is told."""
        with self._lock:
            fraction = 1.0 if state == "done" else self.view.fraction
            self.view = replace(
                self.view,
                state=state,
                error=error,
                mend=mend,
                fraction=fraction,
                ended_ns=self._clock.now_ns(),
            )
        self.keep()
        self._publish({"error": error, "mend": mend})

    def keep(self) -> None:
        """Durable up to here."""
        view = self.view
        self._store.keep_run(view.id, view.state, view.to_json())

    def _publish(self, more: Mapping[str, Any]) -> None:
        view = self.view
        told = {"run": view.id, "kind": view.kind, "state": view.state, "fraction": view.fraction}
        self._bus.publish("deploy", {**told, "generation": view.generation, **more})
