"""Samples out and in as files: Parquet, OpenMetrics, Prometheus' text with timestamps.

Parquet: one row a sample: `name` (dictionary), `labels` (map, without the name), `series` (uint64, the same for the
same labels), `time` (timestamp, ms, UTC), `value` (double). Rows come in stretches of time, series by series in each,
so that pandas, DuckDB and Arrow read it in pieces. Native histograms are not in these files; how many there were is
told. Bounded memory both ways. Not here: the command line, Prometheus' and OpenMetrics' grammar (`formats`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels, Samples
from weatherglass.metrics.formats.exposition import Seen, parse
from weatherglass.metrics.store import Metrics
from weatherglass.metrics.types import Matcher, Selection

AT_ONCE = 1 << 21
"""Samples held at a time, about."""
LINES = 50_000
LEAST_MS = 60_000

_PLAIN = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_COLUMNS = ("name", "labels", "time", "value")


@dataclass(slots=True)
class Moved:
    """What went over."""

    samples: int = 0
    series: int = 0
    left_out: int = 0  # native histograms
    too_old: int = 0

    def took(self, selection: Selection) -> None:
        self.samples += sum(map(len, selection.times))
        self.left_out += sum(len(times) for times, _ in selection.histograms or ())


# --- out -------------------------------------------------------------------------------------------------


def pieces(
    store: Metrics, tenant: str, matchers: Sequence[Matcher], start_ms: int, end_ms: int
) -> Iterator[Selection]:
    """What matches, in stretches of time of bounded size."""
    extent = store.extent(tenant)
    if extent is None:
        return
    first, last, samples = extent
    first, last = max(first, start_ms), min(last, end_ms)
    width = max(math.ceil((extent[1] - extent[0] + 1) * min(AT_ONCE / max(samples, 1), 1)), LEAST_MS)
    while first <= last:
        found = store.select(tenant, matchers, first, min(first + width - 1, last))
        if found.labels:
            yield found
        first += width


def to_parquet(
    store: Metrics, tenant: str, matchers: Sequence[Matcher], start_ms: int, end_ms: int, path: Path
) -> Moved:
    """Into a new file. Raises OSError, Invalid, Corrupt."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [
            ("name", pa.dictionary(pa.int32(), pa.string())),
            ("labels", pa.map_(pa.string(), pa.string())),
            ("series", pa.uint64()),
            ("time", pa.timestamp("ms", tz="UTC")),
            ("value", pa.float64()),
        ]
    )
    moved = Moved()
    seen: set[int] = set()
    with parquet.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=["name", "labels", "series"]
    ) as out:
        for found in pieces(store, tenant, matchers, start_ms, end_ms):
            moved.took(found)
            counts = np.array([len(times) for times in found.times])
            ids = [series_id(labels) for labels in found.labels]
            seen.update(ids)
            if not counts.sum():
                continue
            names = pa.array(
                [dict(labels).get("__name__", "") for labels in found.labels]
            ).dictionary_encode()
            maps = pa.array(
                [[p for p in one if p[0] != "__name__"] for one in found.labels], schema.field(1).type
            )
            owner = pa.array(np.repeat(np.arange(len(counts)), counts))
            columns = [
                names.take(owner),
                maps.take(owner),
                pa.array(np.repeat(np.array(ids, np.uint64), counts)),
                pa.array(np.concatenate(found.times)).cast(schema.field(3).type),
                pa.array(np.concatenate(found.values)),
            ]
            out.write_table(pa.Table.from_arrays(columns, schema=schema))
    moved.series = len(seen)
    return moved


def series_id(labels: Labels) -> int:
    """The same for the same labels, everywhere."""
    text = "\0".join(part for pair in labels for part in pair)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def to_text(
    store: Metrics,
    tenant: str,
    matchers: Sequence[Matcher],
    start_ms: int,
    end_ms: int,
    out: TextIO,
    *,
    openmetrics: bool,
) -> Moved:
    """Metric by metric, series by series, as both grammars want it. Times are seconds in OpenMetrics, else ms."""
    moved = Moved()
    for name in store.label_values(tenant, "__name__", [list(matchers)], start_ms, end_ms):
        found = store.select(tenant, [*matchers, Matcher("__name__", "=", name)], start_ms, end_ms)
        moved.took(found)
        moved.series += len(found.labels)
        for labels, times, values in zip(found.labels, found.times, found.values, strict=True):
            head = spelled(labels)
            for time, value in zip(times.tolist(), values.tolist(), strict=True):
                when = _seconds(time) if openmetrics else str(time)
                out.write(f"{head} {_number(value)} {when}\n")
    if openmetrics:
        out.write("# EOF\n")
    return moved


def spelled(labels: Labels) -> str:
    """`name{label="value"}`, with quotes around names that are not plain (UTF-8 in Prometheus 3)."""
    found = dict(labels)
    name = found.pop("__name__", "")
    plain = _PLAIN.fullmatch(name) is not None
    inner = [] if plain or not name else [_quoted(name)]
    for key, value in found.items():
        inner.append(f"{key if _LABEL.fullmatch(key) else _quoted(key)}={_quoted(value)}")
    return (name if plain else "") + ("{" + ",".join(inner) + "}" if inner else "")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)


def _seconds(time_ms: int) -> str:
    sign, time_ms = ("-", -time_ms) if time_ms < 0 else ("", time_ms)
    return f"{sign}{time_ms // 1000}.{time_ms % 1000:03d}"


# --- in --------------------------------------------------------------------------------------------------


def from_text(store: Metrics, tenant: str, lines: Iterable[str], now_ms: int, *, openmetrics: bool) -> Moved:
    """Samples of a text, in portions; one without a time gets `now_ms`. Raises Invalid with the line, and then the
    portions before are stored."""
    moved, seen = Moved(), Seen()
    known: set[Labels] = set()
    before = 0
    for portion in _portions(lines, openmetrics):
        try:
            taken = parse("".join(portion), openmetrics=openmetrics, seen=seen)
        except Invalid as error:
            raise Invalid(error.message, where=f"after line {before}: {error.problems[0].where}") from error
        before += len(portion)
        batch = taken.samples(now_ms)
        known.update(batch.series)
        _store(store, tenant, batch, moved)
    moved.series = len(known)
    return moved


def _portions(lines: Iterable[str], openmetrics: bool) -> Iterator[list[str]]:
    portion: list[str] = []
    for line in lines:
        ended = openmetrics and line.rstrip("\r\n") == "# EOF"
        if not ended:
            portion.append(line if line.endswith("\n") else line + "\n")
        if len(portion) >= LINES or (ended and portion):
            yield portion + ["# EOF\n"] * openmetrics
            portion = []
        if ended:
            return
    if openmetrics:
        raise Invalid("the text does not end with # EOF", mend="it may be cut short")
    if portion:
        yield portion


def from_parquet(store: Metrics, tenant: str, path: Path) -> Moved:
    """Samples of a file as `to_parquet` writes it (`series` may be missing). Raises Invalid, OSError."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise Invalid(f"not a Parquet file: {error}", where=str(path)) from error
    missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
    if missing:
        raise Invalid(
            f"no column {missing[0]}", where=str(path), mend=f"one row a sample: {', '.join(_COLUMNS)}"
        )
    moved = Moved()
    known: set[Labels] = set()
    for batch in file.iter_batches(AT_ONCE // 4):
        found = _of_batch(batch)
        known.update(found.series)
        _store(store, tenant, found, moved)
    moved.series = len(known)
    return moved


def _of_batch(batch: Any) -> Samples:
    import pyarrow as pa

    times = np.asarray(batch.column("time").cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()))
    values = np.asarray(batch.column("value").cast(pa.float64()))
    starts = np.ones(len(times), bool)
    if "series" in batch.schema.names:  # rows of one series lie together: its labels are read once
        ids = np.asarray(batch.column("series"))
        starts[1:] = ids[1:] != ids[:-1]
    first = np.flatnonzero(starts)
    names = batch.column("name").take(pa.array(first)).to_pylist()
    maps = batch.column("labels").take(pa.array(first)).to_pylist()
    rows: dict[Labels, list[int]] = {}
    for place, (name, pairs) in enumerate(zip(names, maps, strict=True)):
        labels = tuple(sorted([("__name__", name or ""), *(pairs or [])]))
        rows.setdefault(labels, []).append(place)
    ends = np.append(first[1:], len(times))
    out_times, out_values = [], []
    for places in rows.values():
        where = np.concatenate([np.arange(first[place], ends[place]) for place in places])
        where = where[np.argsort(times[where], kind="stable")]
        out_times.append(times[where].tolist())
        out_values.append(values[where].tolist())
    return Samples(list(rows), out_times, out_values)


def _store(store: Metrics, tenant: str, batch: Samples, moved: Moved) -> None:
    if batch.series:
        written = store.append(tenant, batch)
        moved.samples += written.stored
        moved.too_old += written.too_old
