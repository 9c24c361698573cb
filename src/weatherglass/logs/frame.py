"""Events as columns: one batch in memory or one row group of a block, read alike. Sorted by time where `ordered`.

A column of text is coded: small whole numbers into a dictionary of its different values (`Coded`); a question is
asked of the dictionary once and then of the codes. Columns are read when first needed and kept as long as the frame.
The message is a template and its variables, the line a shape and its fields: both are put together for the rows that
somebody wants to see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from weatherglass.engine.protocols import Event, RawEvent
from weatherglass.logs.fields import LABELS, OWN, SPAN, field_of
from weatherglass.logs.fitting import fixed
from weatherglass.logs.parse import parse_event
from weatherglass.logs.reading import FIELDS
from weatherglass.logs.shapes import line

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

STAR = "<*>"
SHOWN = tuple(name for name in (*FIELDS, *SPAN) if name not in OWN)


class Coded(NamedTuple):
    """`codes` (rows,) into `values`; `len(values)` where there is none."""

    codes: np.ndarray
    values: pa.Array

    def spread(self, found: np.ndarray) -> np.ndarray | bool:
        """(rows,) bool of what was found of each value; nothing is never found."""
        import numpy as np

        if not found.any():
            return False
        return np.asarray(np.append(found, False)[self.codes])


class Columns:
    """Where a frame's columns come from: here a table in memory; `blocks` has that of a file."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.names = frozenset(table.column_names)

    def read(self, names: Sequence[str]) -> Mapping[str, pa.Array]:
        """Each as one array. Names that are not there are left out."""
        return {name: one_array(self._table.column(name)) for name in names if name in self.names}


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column's chunks as one array, in which a dictionary is one too."""
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
        if column.num_chunks == 1:
            return column.chunk(0)
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


class Frame:
    """Rows of one tenant. Safe from several threads: what is kept is only ever added to."""

    def __init__(
        self,
        columns: Columns,
        rows: int,
        *,
        span: tuple[int, int],
        filters: tuple[bytes, bytes] = (b"", b""),
        ordered: bool = False,
    ) -> None:
        self.columns, self.rows, self.span, self.ordered = columns, rows, span, ordered
        self.text_filter, self.field_filter = filters
        self.held = 0  # bytes of what is kept
        self._arrays: dict[str, pa.Array] = {}
        self._coded: dict[str, Coded] = {}
        self._ints: dict[str, np.ndarray] = {}
        self._counts: dict[str, np.ndarray] = {}

    # --- columns -----------------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        return name in self.columns.names

    def array(self, name: str, *, keep: bool = False) -> pa.Array | None:
        """A column as it lies, or None."""
        if name in self._arrays:
            return self._arrays[name]
        array = self.columns.read([name]).get(name)
        if keep and array is not None:
            self._arrays[name] = array
            self.held += array.nbytes
        return array

    def coded(self, name: str) -> Coded | None:
        """A column of text, coded; None where the frame has no such column."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        found = self._coded.get(name)
        if found is None and self.has(name):
            array = self.array(name)
            if array is None:
                return None
            if not pa.types.is_dictionary(array.type):
                array = array.dictionary_encode()
            size = len(array.dictionary)
            kind = np.uint8 if size < 256 else np.uint16 if size < 65536 else np.int32
            indices = array.indices
            if indices.null_count:
                indices = pc.fill_null(indices, pa.scalar(size, indices.type))
            found = Coded(indices.to_numpy(zero_copy_only=False).astype(kind), array.dictionary)
            self._coded[name] = found
            self.held += found.codes.nbytes + found.values.nbytes
        return found

    def counts(self, name: str) -> np.ndarray:
        """(values + 1,) how many rows have each value of a coded column, and none at the end."""
        import numpy as np

        counts = self._counts.get(name)
        if counts is None:
            coded = self.coded(name)
            counts = (
                np.array([self.rows])
                if coded is None
                else np.bincount(coded.codes, minlength=len(coded.values) + 1)
            )
            self._counts[name] = counts
        return counts

    def ints(self, name: str) -> np.ndarray:
        """time, sequence, seen: (rows,) int64."""
        import numpy as np

        found = self._ints.get(name)
        if found is None:
            array = self.array(name)
            assert array is not None
            found = self._ints[name] = np.ascontiguousarray(as_ns(array))
            self.held += found.nbytes
        return found

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """(values float64 or int64, where there is one) of a column of numbers, or None."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        array = self.array(name)
        if array is None:
            return None
        there = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), bool)
        zero = pa.scalar(False) if pa.types.is_boolean(array.type) else pa.scalar(0, array.type)
        return np.asarray(pc.fill_null(array, zero).to_numpy(zero_copy_only=False)), there

    # --- rows --------------------------------------------------------------------------------------------

    def keys(self, rows: np.ndarray) -> list[tuple[int, int]]:
        """(time_ns, sequence) of rows."""
        return list(zip(self.ints("time")[rows].tolist(), self.ints("sequence")[rows].tolist(), strict=True))

    def messages(self, rows: np.ndarray | None = None) -> pa.Array:
        """The messages of rows (of all): templates with their variables put in."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        templates, variables = self.coded("template"), self.array("variables")
        if templates is None or variables is None:
            return pa.nulls(self.rows if rows is None else len(rows), pa.string())
        numbers = np.arange(self.rows) if rows is None else rows
        offsets = variables.offsets.to_numpy()
        values = variables.values
        codes = templates.codes[numbers]
        order = np.argsort(codes, kind="stable")
        bounds = np.flatnonzero(np.diff(codes[order])) + 1
        parts: list[pa.Array] = []
        for places in np.split(order, bounds) if len(order) else ():
            code = int(codes[places[0]])
            if code == len(templates.values):
                parts.append(pa.nulls(len(places), pa.string()))
                continue
            pieces = templates.values[code].as_py().split(STAR)
            if len(pieces) == 1:
                parts.append(pa.repeat(fixed(pieces[0]), len(places)))
                continue
            begins = offsets[numbers[places]]
            columns: list[Any] = [fixed(pieces[0])]
            for number, piece in enumerate(pieces[1:]):
                columns += (values.take(pa.array(begins + number)), fixed(piece))
            parts.append(pc.binary_join_element_wise(*columns, fixed("")))
        if not parts:
            return pa.array([], pa.string())
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_arrays(parts).take(pa.array(back))

    def slot(self, code: int, number: int) -> Coded:
        """One variable of all messages of a template (by its code), in the order of rows."""
        import numpy as np
        import pyarrow as pa

        name = f"{code}/{number}"
        found = self._coded.get(name)
        if found is None:
            templates, variables = self.coded("template"), self.array("variables")
            assert templates is not None and variables is not None
            begins = variables.offsets.to_numpy()[:-1][templates.codes == code]
            array = variables.values.take(pa.array(begins + number)).dictionary_encode()
            size = len(array.dictionary)
            kind = np.uint8 if size < 256 else np.uint16 if size < 65536 else np.int32
            found = Coded(array.indices.to_numpy().astype(kind), array.dictionary)
            if size * 4 < len(array):
                # Few values: worth its bytes, as the column would have to be read again.
                self._coded[name] = found
                self.held += found.codes.nbytes + found.values.nbytes
        return found

    def events(self, rows: np.ndarray) -> list[Event]:
        """The events of rows, as they came."""
        import pyarrow as pa

        wanted = [name for name in self.columns.names if name not in ("filter", "field_filter")]
        given = self.columns.read(wanted)
        numbers = pa.array(rows)
        lists = {
            name: (
                ints_of(array.take(numbers))
                if name in ("time", "sequence", "seen")
                else array.take(numbers).to_pylist()
            )
            for name, array in given.items()
            if name not in ("variables", "template")
        }
        messages = self.messages(rows).to_pylist()
        return [
            event_of({name: values[row] for name, values in lists.items()}, message or "")
            for row, message in enumerate(messages)
        ]


def ints_of(array: pa.Array) -> list[int]:
    return as_ns(array).tolist()  # type: ignore[no-any-return]


def as_ns(array: pa.Array) -> np.ndarray:
    """int64 ns of a column of instants, of whatever unit; whole numbers as they are."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_timestamp(array.type):
        scale = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[array.type.unit]
        return np.asarray(array.cast(pa.int64()).to_numpy()) * scale
    return np.asarray(array.to_numpy(zero_copy_only=False))


def event_of(one: Mapping[str, Any], message: str) -> Event:
    """The event of one row's columns."""
    labels = {name: one[name] for name in LABELS if one.get(name) is not None}
    if one.get("labels") is not None:
        labels |= json.loads(one["labels"])
    named = tuple(sorted(labels.items()))
    if one.get("exact") is not None:
        # Its bytes were no UTF-8: what the columns have of it is fit for search alone.
        event = parse_event(RawEvent(one["seen"], named, one["exact"].decode("utf-8", "surrogatepass")))
        return Event(
            one["time"], one["seen"], named, event.level, event.logger, event.message, event.raw, event.fields
        )
    fields = {name: one[name] for name in SHOWN if one.get(name) is not None}
    level, logger = one.get("level") or "", one.get("logger") or ""
    for column, value in one.items():
        if value is not None and column not in OWN and column not in SHOWN:
            fields[field_of(column)] = shown_value(value)
    for name, value in one.get("rest") or ():
        fields[field_of(name)] = json.loads(value) if value.startswith('"') else value
    for name in ("index", "id"):
        if one.get(name) is not None:
            fields["_" + name] = one[name]
    raw = one.get("raw")
    if raw is None:
        shown = {**labels, **fields, "level": level, "logger": logger}
        raw = line(one.get("shape") or "{message}", shown, one["time"], message, one.get("tail") or "")
    return Event(one["time"], one["seen"], named, level, logger, message, raw, fields)


def shown_value(value: Any) -> str:
    """A typed value as the text that an event's fields have."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
