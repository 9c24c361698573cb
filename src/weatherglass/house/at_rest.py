"""The metrics of a state that no server runs on, opened for a moment: for the command line's checks and exchange."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weatherglass.base.errors import NotFound
from weatherglass.base.time import SystemClock
from weatherglass.engine.files import RealFiles
from weatherglass.engine.tables import Tables
from weatherglass.house.hold import Hold
from weatherglass.metrics import TABLES, Metrics
from weatherglass.metrics.fsck import Report, check


@contextmanager
def tables_of(state: Path, *, make: bool = False) -> Iterator[Tables]:
    """The state's tables, and the state held meanwhile. Raises NotFound, Conflict (a server runs on it)."""
    if not make and not (state / "tables.db").exists():
        raise NotFound(f"there is no state in {state}", where=str(state), mend="give --state DIR")
    hold = Hold(state)
    try:
        tables = Tables(state / "tables.db")
        try:
            yield tables
        finally:
            tables.close()
    finally:
        hold.release()


@contextmanager
def metrics_of(state: Path, *, make: bool = False) -> Iterator[Metrics]:
    """The store, started; nothing in it is ever too old. Raises NotFound, Conflict, Corrupt, Unavailable."""
    fresh = not (state / "tables.db").exists()
    with tables_of(state, make=make) as tables:
        if fresh:
            tables.migrate({"metrics": TABLES})  # the other rooms' come with the first server
        store = Metrics(
            state / "metrics", files=RealFiles(), tables=tables, clock=SystemClock(), retention_s=None
        )
        store.start()
        try:
            yield store
        finally:
            store.stop()


def checked(state: Path, *, repair: bool) -> Report:
    """What `fsck` finds in the state's metrics. Raises NotFound, Conflict."""
    with tables_of(state) as tables:
        return check(state / "metrics", tables, RealFiles(), repair=repair)
