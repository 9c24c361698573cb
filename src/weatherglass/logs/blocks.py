"""Sealed blocks: events of one tenant, in order, as Parquet that DuckDB and pandas read as it is.

Columns: time_ns, sequence, seen_ns (int64); the labels of the house, other labels as JSON; level, logger and the
parsers' fields (null where there is none); raw, the text as it came; the message as a place in raw (message_at,
message_size, in characters), or itself in `message` where raw does not hold it (JSON). `filter` has, in the first
row of each row group, the words that occur in the group (`terms`). Strings are UTF-8; a column in which one was
not is binary, with lone surrogates in place. The footer's `weatherglass` says version and tenant.

Pure but for pyarrow and numpy, which are imported when first needed: a server starts without them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from weatherglass.base.errors import Corrupt
from weatherglass.engine.protocols import Event
from weatherglass.logs.query import LABELS, Query, Row
from weatherglass.logs.reading import FIELDS
from weatherglass.logs.terms import long_words, make_filter, may_have, which_have

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

VERSION = 1
GROUP_ROWS = 8192
_PLAIN = ("raw", "message", "filter")
_NUMBERS = ("time_ns", "sequence", "seen_ns")


def levels_of(rows: Sequence[Row]) -> dict[str, int]:
    """How many events of each level."""
    return dict(Counter(event.level for _, _, event in rows))


def encode_block(tenant: str, rows: Sequence[Row]) -> bytes:
    """The Parquet file of rows, which are sorted by time and sequence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    events = [event for _, _, event in rows]
    columns: dict[str, Any] = {
        "time_ns": pa.array([row[0] for row in rows], pa.int64()),
        "sequence": pa.array([row[1] for row in rows], pa.int64()),
        "seen_ns": pa.array([event.seen_ns for event in events], pa.int64()),
    }
    spread = {labels: _spread(labels) for labels in {event.labels for event in events}}
    labelled = [spread[event.labels] for event in events]
    for number, name in enumerate((*LABELS, "labels")):
        columns[name] = _strings([one[number] for one in labelled])
    columns["level"] = _strings([event.level or None for event in events])
    columns["logger"] = _strings([event.logger or None for event in events])
    fields: dict[str, list[str | None]] = {name: [None] * len(events) for name in FIELDS}
    for number, event in enumerate(events):
        for name, value in event.fields.items():
            fields[name][number] = value
    columns.update((name, _strings(values)) for name, values in fields.items())
    # A message is nearly always the end of its text's first line: looked for from there it is found at once.
    places = [event.raw.find(event.message) for event in events]
    columns["message_at"] = pa.array(places, pa.int32())
    columns["message_size"] = pa.array([len(event.message) for event in events], pa.int32())
    columns["message"] = _strings(
        [event.message if at < 0 else None for at, event in zip(places, events, strict=True)]
    )
    columns["raw"] = _strings([event.raw for event in events])
    filters: list[bytes | None] = [None] * len(rows)
    for begin in range(0, len(rows), GROUP_ROWS):
        text = "\n".join(event.raw for event in events[begin : begin + GROUP_ROWS])
        filters[begin] = make_filter(long_words(text.casefold()))
    columns["filter"] = pa.array(filters, pa.binary())
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=6,
        use_dictionary=[name for name in columns if name not in (*_PLAIN, *_NUMBERS)],
        column_encoding=dict.fromkeys(_NUMBERS, "DELTA_BINARY_PACKED"),
        write_statistics=["time_ns"],
        store_schema=False,
    ) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)
        writer.add_key_value_metadata({"weatherglass": json.dumps({"version": VERSION, "tenant": tenant})})
    return bytes(sink.getvalue())


def _spread(labels: Sequence[tuple[str, str]]) -> tuple[str | None, ...]:
    """The labels' columns: those with one of their own, then the rest as JSON."""
    given = dict(labels)
    own = tuple(given.pop(name, None) or None for name in LABELS)
    return (*own, json.dumps(given, sort_keys=True) if given else None)


def _strings(values: Sequence[str | None]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array(
            [None if value is None else value.encode("utf-8", "surrogatepass") for value in values],
            pa.binary(),
        )


def _string(value: str | bytes | None) -> str:
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value or ""


class Block:
    """One block's bytes, read column by column as asked. Safe from several threads."""

    def __init__(self, data: bytes, where: str) -> None:
        """Raises Corrupt when this is no block, or one of a version that this program does not know."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.size = len(data)
        self._data, self._where = pa.py_buffer(data), where
        try:
            self._metadata = pq.read_metadata(pa.BufferReader(self._data))
        except (pa.ArrowException, OSError) as error:
            raise Corrupt(
                f"not a block of logs: {error}", where=where, mend="restore it from a backup"
            ) from error
        own = json.loads((self._metadata.metadata or {}).get(b"weatherglass", b"{}"))
        if own.get("version") != VERSION:
            raise Corrupt(
                f"block of format {own.get('version')}, this program knows {VERSION}",
                where=where,
                mend="run the version of Weatherglass that wrote it, or a newer one",
            )

    @cached_property
    def groups(self) -> list[tuple[int, int]]:
        """(first, last time_ns) of each row group."""
        spans = []
        for number in range(self._metadata.num_row_groups):
            statistics = self._metadata.row_group(number).column(0).statistics
            spans.append((statistics.min, statistics.max))
        return spans

    @cached_property
    def _filters(self) -> list[bytes]:
        column = self._read(range(len(self.groups)), ["filter"]).column("filter")
        return [column[number * GROUP_ROWS].as_py() for number in range(len(self.groups))]

    def _read(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # A reader each time: a ParquetFile is not for several threads, and its footer is parsed already.
        try:
            file = pq.ParquetFile(pa.BufferReader(self._data), metadata=self._metadata)
            return file.read_row_groups(list(groups), columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise Corrupt(
                f"stored bytes do not check out: {error}", where=self._where, mend="restore it from a backup"
            ) from error

    def rows_of(self, group: int) -> int:
        return int(self._metadata.row_group(group).num_rows)

    def may_match(self, group: int, query: Query) -> bool:
        """Whether the group is worth reading, by its times and its words."""
        return query.within(*self.groups[group]) and (
            not query.terms or may_have(self._filters[group], query.terms)
        )

    def match(self, group: int, query: Query) -> tuple[np.ndarray, pa.Table]:
        """Which rows of a group are asked for, ascending; and the columns read on the way (time_ns, level always)."""
        import numpy as np

        names = {"time_ns", "level"}
        if query.before or query.after:
            names.add("sequence")
        names.update(name if name in LABELS else "labels" for name, _ in query.labels)
        names.update(name for name, _ in query.fields)
        if query.terms:
            names.add("raw")
        table = self._read([group], sorted(names))
        times = table.column("time_ns").to_numpy()
        mask = (times >= query.start_ns) & (times < query.end_ns)
        if query.before or query.after:
            order = table.column("sequence").to_numpy()
            if query.before:
                mask &= (times < query.before[0]) | ((times == query.before[0]) & (order < query.before[1]))
            if query.after:
                mask &= (times > query.after[0]) | ((times == query.after[0]) & (order > query.after[1]))
        if query.levels is not None:
            mask &= _any_equal(table.column("level"), query.levels)
        for name, wanted in (*query.labels, *query.fields):
            if not mask.any():
                break
            if name in names:
                mask &= _equals(table.column(name), wanted)
            else:
                mask &= _label_equals(table.column("labels"), name, wanted)
        found = np.flatnonzero(mask)
        if query.terms and len(found):
            texts = [_string(text) for text in table.column("raw").take(found).to_pylist()]
            found = found[which_have(texts, query.terms)]
        return found, table

    def values(self, group: int, label: str, numbers: np.ndarray) -> list[str]:
        """A label (one with a column) of some rows of a group."""
        column = self._read([group], [label]).column(label).take(numbers)
        return [_string(value) for value in column.to_pylist()]

    def rows(self, group: int, numbers: np.ndarray) -> list[Row]:
        """The events of some rows of a group."""
        table = self._read([group]).drop_columns(["filter"]).take(numbers)
        return [_row(one) for one in table.to_pylist()]


def _row(one: dict[str, Any]) -> Row:
    labels = {name: _string(one[name]) for name in LABELS if one[name] is not None}
    if one["labels"] is not None:
        labels |= json.loads(_string(one["labels"]))
    raw, at = _string(one["raw"]), one["message_at"]
    event = Event(
        one["time_ns"],
        one["seen_ns"],
        tuple(sorted(labels.items())),
        _string(one["level"]),
        _string(one["logger"]),
        _string(one["message"]) if at < 0 else raw[at : at + one["message_size"]],
        raw,
        {name: _string(one[name]) for name in FIELDS if one[name] is not None},
    )
    return one["time_ns"], one["sequence"], event


def _equals(column: pa.ChunkedArray, wanted: str) -> np.ndarray:
    """(rows,) bool: where a column of strings is what is wanted (`query.value_matches`)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if wanted == "*":
        return np.ones(len(column), bool)
    if wanted == "":
        return _bools(pc.is_null(column))
    try:
        value = (
            wanted
            if column.type == pa.string() and wanted.encode()
            else wanted.encode("utf-8", "surrogatepass")
        )
    except UnicodeEncodeError:  # no string of this column has a lone surrogate
        return np.zeros(len(column), bool)
    if wanted.endswith("*"):
        return _bools(pc.starts_with(column, value[:-1]))
    return _bools(pc.equal(column, pa.scalar(value, column.type)))


def _bools(found: pa.ChunkedArray) -> np.ndarray:
    import numpy as np
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), bool)


def _any_equal(column: pa.ChunkedArray, wanted: frozenset[str]) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    return _bools(pc.is_in(column, pa.array(sorted(wanted), column.type)))


def _label_equals(column: pa.ChunkedArray, name: str, wanted: str) -> np.ndarray:
    """The same for a label without a column: each distinct JSON is read once."""
    import numpy as np

    from weatherglass.logs.query import value_matches

    texts = column.to_pylist()
    seen = {
        text: value_matches(str(json.loads(_string(text) or "{}").get(name, "")), wanted)
        for text in set(texts)
    }
    return np.array([seen[text] for text in texts], bool)
