"""Sealed blocks: events of one tenant, in order, as Parquet that DuckDB and pandas read as it is (docs/logs.md).

Columns: `time`, `seen` (timestamps of the coarsest unit that keeps them exactly), `sequence`; labels; level, logger;
`template`, `template_id` and `variables`, which are the message; `shape`, `tail`, which give the line, or `raw` where
they do not; the fields. A column is there when some event of the block has it. `filter` and `field_filter` have,
in the first row of each row group, the words that occur in it (`words`): of variables, tracebacks and kept lines,
and of fields. The footer's `weatherglass` says version and tenant.

Pure but for pyarrow and numpy, which are imported when first needed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from weatherglass.base.errors import Corrupt
from weatherglass.kernels.wordsets import Words
from weatherglass.logs.fitting import fixed
from weatherglass.logs.frame import STAR, Columns, Frame, one_array
from weatherglass.logs.words import FEW, MANY, make_filter, take_words, wordy

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
GROUP_ROWS = 65_536
ZSTD_LEVEL = 6
_INSTANTS = ("time", "seen")
_NO_WORDS = frozenset(
    (
        "template",
        "shape",
        "raw",
        "tail",
        "variables",
        "level",
        "time",
        "seen",
        "sequence",
        "template_id",
        "exact",
    )
)


def levels_of(table: pa.Table) -> dict[str, int]:
    """How many events of each level."""
    counted = one_array(table.column("level")).value_counts().to_pylist()
    return {one["values"] or "": one["counts"] for one in counted}


def ordered(table: pa.Table) -> pa.Table:
    """By time, then sequence."""
    import numpy as np
    import pyarrow as pa

    table = table.unify_dictionaries()
    times, order = (one_array(table.column(name)).to_numpy() for name in ("time", "sequence"))
    if bool(np.all((times[1:] > times[:-1]) | ((times[1:] == times[:-1]) & (order[1:] > order[:-1])))):
        return table
    return table.take(pa.array(np.lexsort((order, times))))


def encode_block(tenant: str, table: pa.Table) -> bytes:
    """The Parquet file of a table that is `ordered`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: _stored(name, table.column(name)) for name in table.column_names}
    columns = {
        name: column
        for name, column in columns.items()
        if name in ("level", "logger") or column.null_count < len(column)
    }
    text_filters: list[bytes | None] = [None] * len(table)
    field_filters: list[bytes | None] = [None] * len(table)
    for begin in range(0, len(table), GROUP_ROWS):
        group = {name: one_array(table.column(name).slice(begin, GROUP_ROWS)) for name in table.column_names}
        text, fields = words_in(group)
        text_filters[begin], field_filters[begin] = make_filter(text, MANY), make_filter(fields, FEW)
    columns["filter"] = pa.array(text_filters, pa.binary())
    columns["field_filter"] = pa.array(field_filters, pa.binary())
    whole = pa.table(columns)
    numbers = [
        name
        for name in columns
        if name in _INSTANTS or (name != "template_id" and pa.types.is_integer(whole.schema.field(name).type))
    ]
    coded = [name for name in columns if pa.types.is_string(whole.schema.field(name).type) and name != "raw"]
    coded.append("template_id")
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        whole.schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=coded,
        dictionary_pagesize_limit=16 << 20,
        data_page_size=8 << 20,
        column_encoding={
            **dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
        },
        write_statistics=["time"],
        store_schema=False,
    ) as writer:
        writer.write_table(whole, row_group_size=GROUP_ROWS)
        writer.add_key_value_metadata({"weatherglass": json.dumps({"version": VERSION, "tenant": tenant})})
    return bytes(sink.getvalue())


def _stored(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as files have it: text plain (each row group codes it anew), instants of the coarsest exact unit."""
    import numpy as np
    import pyarrow as pa

    if name in _INSTANTS:
        values = one_array(column).to_numpy()
        for unit, size in (("ms", 10**6), ("us", 1000)):
            if not np.any(values % size):
                return pa.chunked_array([pa.array(values // size).cast(pa.timestamp(unit, "UTC"))])
        return pa.chunked_array([pa.array(values).cast(pa.timestamp("ns", "UTC"))])
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def words_in(group: Mapping[str, pa.Array]) -> tuple[Words, Words]:
    """(words of variables, tracebacks and kept lines; words of fields) of a row group."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text, fields = Words(), Words()
    if "variables" in group:
        _take_variables(text, group["template"], group["variables"])
    for name, array in group.items():
        kind = array.type
        if name not in ("raw", "tail") and name in _NO_WORDS:
            continue
        if pa.types.is_dictionary(kind):
            array = array.dictionary.take(array.indices.unique())
        if pa.types.is_string(array.type):
            take_words(text if name in ("raw", "tail") else fields, array.drop_null())
        elif pa.types.is_boolean(kind):
            take_words(fields, pa.array(["true", "false"]))
        elif pa.types.is_integer(kind):
            take_words(fields, array.unique().drop_null().cast(pa.string()))
        elif pa.types.is_map(kind):
            take_words(fields, pc.unique(array.items).drop_null())
    return text, fields


def _take_variables(words: Words, templates: pa.Array, variables: pa.Array) -> None:
    """The words in which variables have a part: their own, and those that the fixed text beside them makes longer."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    offsets = variables.offsets.to_numpy()
    values = variables.values
    take_words(words, values.slice(int(offsets[0]), int(offsets[-1] - offsets[0])))
    codes = templates.indices.to_numpy()
    names = templates.dictionary.to_pylist()
    for code in np.unique(codes).tolist():
        pieces = names[code].split(STAR)
        glued = [
            slot for slot in range(len(pieces) - 1) if wordy(pieces[slot][-1:]) or wordy(pieces[slot + 1][:1])
        ]
        joint = any(not piece or all(map(wordy, piece)) for piece in pieces[1:-1])
        if not glued and not joint:
            continue
        begins = offsets[np.flatnonzero(codes == code)]
        if joint:
            texts: list[object] = [fixed(pieces[0])]
            for slot, piece in enumerate(pieces[1:]):
                texts += (values.take(pa.array(begins + slot)), fixed(piece))
            take_words(words, pc.binary_join_element_wise(*texts, fixed("")))
            continue
        for slot in glued:
            around = fixed(_end(pieces[slot])), fixed(_start(pieces[slot + 1]))
            own = values.take(pa.array(begins + slot))
            take_words(words, pc.binary_join_element_wise(around[0], own, around[1], fixed("")))


def _end(piece: str) -> str:
    at = len(piece)
    while at and wordy(piece[at - 1]):
        at -= 1
    return piece[at:]


def _start(piece: str) -> str:
    at = 0
    while at < len(piece) and wordy(piece[at]):
        at += 1
    return piece[:at]


class _FileColumns(Columns):
    """One row group's columns, read as asked."""

    def __init__(self, block: Block, group: int, names: frozenset[str]) -> None:
        self._block, self._group, self.names = block, group, names

    def read(self, names: Sequence[str]) -> Mapping[str, pa.Array]:
        wanted = [name for name in names if name in self.names]
        table = self._block.read([self._group], wanted)
        return {name: one_array(table.column(name)) for name in wanted}


class Block:
    """One block's bytes, read column by column as asked. Safe from several threads."""

    def __init__(self, data: bytes, where: str) -> None:
        """Raises Corrupt when this is no block, or one of a version that this program does not know."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._data, self._where = pa.py_buffer(data), where
        self._lock = threading.Lock()
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

    @property
    def size(self) -> int:
        """Bytes that it holds, with the columns that were read."""
        frames: tuple[Frame, ...] = self.__dict__.get("frames", ())
        return len(self._data) + sum(frame.held for frame in frames)

    def read(self, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # A reader each time: a ParquetFile is not for several threads, and its footer is parsed already.
        try:
            file = pq.ParquetFile(
                pa.BufferReader(self._data), metadata=self._metadata, read_dictionary=self._coded
            )
            return file.read_row_groups(list(groups), columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise Corrupt(
                f"stored bytes do not check out: {error}", where=self._where, mend="restore it from a backup"
            ) from error

    @cached_property
    def _coded(self) -> list[str]:
        schema = self._metadata.schema.to_arrow_schema()
        import pyarrow as pa

        return [field.name for field in schema if pa.types.is_string(field.type) and field.name != "raw"]

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """Its row groups, oldest first."""

        count = self._metadata.num_row_groups
        names = frozenset(self._metadata.schema.to_arrow_schema().names)
        table = self.read(range(count), ["filter", "field_filter"])
        filters = [table.column("filter").drop_null(), table.column("field_filter").drop_null()]
        own = names - {"filter", "field_filter"}
        position = next(
            number
            for number in range(self._metadata.num_columns)
            if self._metadata.row_group(0).column(number).path_in_schema == "time"
        )
        unit = self._metadata.schema.to_arrow_schema().field("time").type.unit
        scale = {"ms": 10**6, "us": 1000, "ns": 1}[unit]
        frames = []
        for number in range(count):
            group = self._metadata.row_group(number)
            statistics = group.column(position).statistics
            first, last = statistics.min_raw * scale, statistics.max_raw * scale
            frames.append(
                Frame(
                    _FileColumns(self, number, own),
                    int(group.num_rows),
                    span=(first, last),
                    filters=(filters[0][number].as_py(), filters[1][number].as_py()),
                    ordered=True,
                )
            )
        return tuple(frames)

    def table(self) -> pa.Table:
        """All of it, as it was before it was stored."""
        import pyarrow as pa

        from weatherglass.logs.frame import as_ns

        table = self.read(range(self._metadata.num_row_groups)).drop_columns(["filter", "field_filter"])
        for name in _INSTANTS:
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(as_ns(one_array(table.column(name)))))
        return table
