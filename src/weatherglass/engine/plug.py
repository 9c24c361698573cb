"""How a room to come plugs into the house without anybody else's file being touched.

The server finds `weatherglass/<room>/plug.py` (`PLUG`), the agent `weatherglass/<room>/executors.py` (`EXECUTORS`)
by listing the package. What has a home of its own is found there: a section of the declaration in `site/sections/`,
a protocol in `gateway/<room>.py`, a page in `portal/`, a verb in `cli/verbs/`, a drill in `drill/drills/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from weatherglass.base.time import Clock
from weatherglass.engine.files import Files
from weatherglass.engine.protocols import ActionRegistry, Bus, EventSink, Ledger, SampleSink, WorkQueue


@dataclass(frozen=True, slots=True)
class Kit:
    """What the house hands a room. `folder` is the room's own part of the state, there already."""

    folder: Path
    files: Files
    tables: Any  # engine.tables.Tables
    clock: Clock
    bus: Bus
    actions: ActionRegistry
    ledger: Ledger
    work: WorkQueue
    samples: SampleSink
    events: EventSink
    inventory: Any  # inventory.Inventory
    site: Callable[[], Any]
    secret: Callable[[str], str]


class Room(Protocol):
    """What the house calls of a room that plugged itself in."""

    def start(self) -> None: ...

    def stop(self) -> None:
        """Within two seconds."""
        ...

    def on_site(self, site: Any, generation: int) -> None:
        """A new declaration counts from now on. Must not block."""
        ...


@dataclass(frozen=True, slots=True)
class Plug:
    """A room's way in: how it is built, and its tables with the package of their migrations where it has some."""

    build: Callable[[Kit], Room]
    migrations: tuple[Any, str] | None = None


Hands = Callable[[Mapping[str, Any], Callable[[float, str], None]], Mapping[str, Any]]
"""An agent's executor of one kind of work: (body, progress(share, text)) → the result's body. Idempotent."""


@dataclass(frozen=True, slots=True)
class Executor:
    """One kind of work that a room's light side does on a host. `make(state folder, host)` is called once."""

    make: Callable[[Path, str], Hands]
    doc: str


def plugs() -> dict[str, Plug]:
    """Every room that plugs itself into the server, by its name."""
    return {name: import_module(f"weatherglass.{name}.plug").PLUG for name in _with("plug.py")}


def executors() -> dict[str, Executor]:
    """Every kind of work that rooms bring to the agent. Their modules must be as light as the agent itself."""
    found: dict[str, Executor] = {}
    for name in _with("executors.py"):
        found.update(import_module(f"weatherglass.{name}.executors").EXECUTORS)
    return found


def _with(file: str) -> Iterator[str]:
    """Rooms that have `file`: seen by looking, so that no other room is imported."""
    import weatherglass

    for folder in weatherglass.__path__:
        for path in sorted(Path(folder).glob(f"*/{file}")):
            if path != Path(__file__):  # the frame is no room
                yield path.parent.name
