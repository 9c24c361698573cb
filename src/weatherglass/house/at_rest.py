"""The metrics of a state that no server runs on, opened for a moment: for the command line's checks and exchange."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weatherglass.base.errors import Conflict, Invalid, NotFound
from weatherglass.base.time import MS_NS, SystemClock, parse_iso
from weatherglass.engine.files import RealFiles
from weatherglass.engine.tables import Tables
from weatherglass.house.hold import Hold
from weatherglass.metrics import TABLES, Matcher, Metrics, exchange
from weatherglass.metrics.exchange import Moved
from weatherglass.metrics.fsck import Report, check
from weatherglass.site.sections.metrics import parse_selector

_FAR_MS = 1 << 53


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


def exported(state: Path, file: Path, *, tenant: str, match: str, since: str, until: str, form: str) -> Moved:
    """A tenant's samples into a new file (`parquet`, `openmetrics`, `prometheus`); ISO 8601 or nothing for the bounds.

    Raises Invalid, NotFound, Conflict.
    """
    if file.exists():
        raise Conflict(f"{file} is there already", mend="name another file, or remove it")
    try:
        matchers = [Matcher(*one) for one in parse_selector(match)]  # type: ignore[arg-type]
        first = parse_iso(since) // MS_NS if since else -_FAR_MS
        last = parse_iso(until) // MS_NS if until else _FAR_MS
    except ValueError as error:
        raise Invalid(str(error)) from error
    with metrics_of(state) as store:
        if form == "parquet":
            return exchange.to_parquet(store, tenant, matchers, first, last, file)
        with file.open("x", encoding="utf-8") as out:
            openmetrics = form == "openmetrics"
            return exchange.to_text(store, tenant, matchers, first, last, out, openmetrics=openmetrics)


def imported(state: Path, file: Path, *, tenant: str, form: str) -> Moved:
    """A file's samples into a tenant; `form` as in `exported`, or nothing where the file tells. Raises Invalid, Conflict."""
    with metrics_of(state, make=True) as store:
        if form == "parquet" or (not form and _is_parquet(file)):
            moved = exchange.from_parquet(store, tenant, file)
        else:
            openmetrics = form == "openmetrics" or (not form and _is_openmetrics(file))
            now_ms = SystemClock().now_ns() // MS_NS
            with file.open(encoding="utf-8") as lines:
                moved = exchange.from_text(store, tenant, lines, now_ms, openmetrics=openmetrics)
        store.seal()
        return moved


def _is_parquet(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"PAR1"


def _is_openmetrics(file: Path) -> bool:
    """Whether it ends as OpenMetrics must."""
    with file.open("rb") as opened:
        opened.seek(max(file.stat().st_size - 16, 0))
        return opened.read().rstrip(b"\r\n").endswith(b"# EOF")
