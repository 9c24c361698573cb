"""Events become columns: parsed, their messages reduced to templates, their lines to shapes. Pure, given a miner.

`Taker.take` makes one table of one tenant's writes. A table has columns only for what occurs in it; `joined` puts
tables end to end. What is text is coded. A document's field that few of a batch have goes into the map `rest`, so
that any number of different fields costs no more than their bytes.
"""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from weatherglass.engine.protocols import RawEvent
from weatherglass.logs.documents import LINE, Document, flattened, known
from weatherglass.logs.fields import COLON, LABELS, OWN, SPAN
from weatherglass.logs.fitting import Fitter
from weatherglass.logs.frame import STAR
from weatherglass.logs.parse import Parser
from weatherglass.logs.reading import FIELDS, stamp_ns
from weatherglass.logs.straight import Straight
from weatherglass.logs.templates import Miner

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 200
_RARE = 50  # a field in fewer than one of so many goes into `rest`
_PLAIN = {str: "", int: ":int", float: ":float", bool: ":bool"}
_MOST_INT = 1 << 63
_NONE: Mapping[str, Any] = {}
_HOUSE = frozenset((*FIELDS, *SPAN, "duration_ns"))


class Write(NamedTuple):
    """One write as the log has it: its first sequence number, and its events."""

    sequence: int
    events: Sequence[RawEvent | Document]


class _Batch:
    """What has been read of a batch, a list a column."""

    def __init__(self) -> None:
        self.sequence: list[int] = []
        self.texts: list[str] = []
        self.time: list[int] = []
        self.seen: list[int] = []
        self.labels: list[Any] = []
        self.level: list[str] = []
        self.logger: list[str] = []
        self.message: list[str] = []
        self.format: list[str] = []
        self.fields: list[Mapping[str, Any]] = []
        self.index: list[str | None] = []
        self.id: list[str | None] = []
        self.form: list[str | None] = []


class Taker:
    """Takes one tenant's events. One thread at a time: the miner and the shapes learn."""

    def __init__(self, miner: Miner | None = None) -> None:
        self.miner = miner or Miner()
        self.saved = self.known, -1e9
        """`known` when the miner's state was saved last, and when that was (monotonic)."""
        self._parser = Parser()
        self._fitter = Fitter()
        self._straight = Straight()

    @property
    def known(self) -> tuple[int, int]:
        """What changes when the miner learns of a template."""
        return len(self.miner.memory.templates), len(self.miner.memory.aliases)

    def take(self, writes: Sequence[Write]) -> pa.Table:
        """The table of these writes, in whatever order: `sequence` tells it."""
        with _uncollected():
            return self._taken(writes)

    def _taken(self, writes: Sequence[Write]) -> pa.Table:
        batch = _Batch()
        lines: list[RawEvent] = []
        sequence: list[int] = []
        for write in writes:
            numbers = range(write.sequence, write.sequence + len(write.events))
            if write.events and isinstance(write.events[0], Document):
                batch.sequence.extend(numbers)
                for one in write.events:
                    _read_document(batch, self._parser, one)  # type: ignore[arg-type]
            else:
                sequence.extend(numbers)
                lines += write.events  # type: ignore[arg-type]
        tables = [self._straightened(batch, lines, sequence)] if lines else []
        if batch.sequence or not tables:
            tables.append(self._table(batch))
        return joined([table for table in tables if table is not None])

    def _straightened(self, batch: _Batch, lines: list[RawEvent], sequence: list[int]) -> pa.Table | None:
        """The table of the lines that are common; the others go to `batch`."""
        import numpy as np
        import pyarrow as pa

        left, rows, messages, columns = self._straight.read([one.text for one in lines])
        if left:
            batch.sequence += [sequence[row] for row in left]
            _read_lines(batch, self._parser, [lines[row] for row in left])
        if not len(rows):
            return None
        mine = [lines[row] for row in rows.tolist()] if left else lines
        columns["sequence"] = np.array(sequence, np.int64)[rows]
        columns["seen"] = np.array([one.seen_ns for one in mine], np.int64)
        _put_labels(columns, [one.labels for one in mine])
        loggers = columns["logger"]
        names = loggers.dictionary.to_pylist()
        self._put_templates(columns, [names[code] for code in loggers.indices.to_numpy().tolist()], messages)
        return pa.table(columns)

    def _table(self, batch: _Batch) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        texts, exact = sound(batch.texts)
        times = np.array(batch.time, np.int64)
        columns: dict[str, Any] = {
            "time": times,
            "sequence": np.array(batch.sequence, np.int64),
            "seen": np.array(batch.seen, np.int64),
        }
        _put_labels(columns, batch.labels)
        columns["level"] = _coded(batch.level)
        columns["logger"] = _coded(batch.logger)
        columns["format"] = _coded(batch.format)
        _put_fields(columns, batch.fields)
        for name, values in (("index", batch.index), ("id", batch.id), ("form", batch.form)):
            if any(values):
                columns[name] = _coded(values)
        messages, _ = sound(batch.message)
        groups = batch.logger
        message_column = self._put_templates(columns, groups, messages)
        text_column = pa.array(texts, pa.string())
        shapes, tails = self._fitter.fit(texts, messages, text_column, message_column, times, _shown(columns))
        for number, form in enumerate(batch.form) if any(batch.form) else ():
            if form != LINE and form is not None:
                shapes[number] = None
                tails.pop(number, None)
        for number in exact:
            shapes[number] = None
            tails.pop(number, None)
        columns["shape"] = _coded(shapes)
        if tails:
            columns["tail"] = _coded([tails.get(number) for number in range(len(texts))])
        if any(shape is None for shape in shapes):
            columns["raw"] = pa.array(
                [text if shape is None else None for text, shape in zip(texts, shapes, strict=True)],
                pa.string(),
            )
        if exact:
            columns["exact"] = pa.array([exact.get(number) for number in range(len(texts))], pa.binary())
        return pa.table(columns)

    def _put_templates(
        self, columns: dict[str, Any], groups: Sequence[str], messages: Sequence[str]
    ) -> pa.Array:
        """Template, its id and the variables of each message; the messages themselves as a column."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        mined = self.miner.add(groups, messages)
        ids, codes = np.unique(mined.ids, return_inverse=True)
        pieces = [self.miner.template(one).pieces for one in ids.tolist()]
        # A message that has the mark itself is kept whole, as the one variable of the template that is the mark alone.
        odd = np.array([any(STAR in piece for piece in one) for one in pieces], bool)
        names = [
            STAR if strange else STAR.join(one) for one, strange in zip(pieces, odd.tolist(), strict=True)
        ]
        whole = pa.Array.from_buffers(
            pa.string(),
            len(messages),
            [None, pa.py_buffer(mined.offsets.astype(np.int32)), pa.py_buffer(mined.buffer)],
        )
        spans, first = mined.spans, mined.first
        kept = odd[codes]
        for number in np.flatnonzero(pc.match_substring(whole, STAR).to_numpy(zero_copy_only=False)).tolist():
            kept[number] = True
        if kept.any():
            rows = [
                mined.offsets[number : number + 2][None, :]
                if kept[number]
                else spans[first[number] : first[number + 1]]
                for number in range(len(messages))
            ]
            first = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
            spans = np.concatenate(rows) if rows else spans
            if STAR not in names:
                names.append(STAR)
            codes = np.where(kept, names.index(STAR), codes)
        edges = np.ascontiguousarray(spans, np.int64).ravel().astype(np.int32)
        if len(edges):
            pairs = pa.Array.from_buffers(
                pa.string(), len(edges) - 1, [None, pa.py_buffer(edges), pa.py_buffer(mined.buffer)]
            )
            values = pairs.take(pa.array(np.arange(0, len(edges), 2)))
        else:
            values = pa.array([], pa.string())
        dictionary = pa.array(names, pa.string())
        columns["template"] = _unique(
            pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), dictionary)
        )
        columns["template_id"] = pa.array(mined.ids)
        columns["variables"] = pa.ListArray.from_arrays(pa.array(first.astype(np.int32)), values)
        return whole


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: a batch makes a hundred thousand objects, none of them in a cycle, and looking
    through them again and again took a third of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _unique(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """With each value once in its dictionary."""
    import pyarrow as pa

    values = column.dictionary
    if len(values.unique()) == len(values):
        return column
    coded = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices.take(column.indices), coded.dictionary)


def sound(texts: Sequence[str]) -> tuple[Sequence[str], dict[int, bytes]]:
    """The texts with what is no UTF-8 replaced, and the bytes of those where something was."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        exact: dict[int, bytes] = {}
        out = list(texts)
        for number, text in enumerate(texts):
            try:
                text.encode()
            except UnicodeEncodeError:
                exact[number] = text.encode("utf-8", "surrogatepass")
                out[number] = text.encode("utf-8", "replace").decode()
        return out, exact
    return texts, {}


def _text(values: Sequence[str | None]) -> pa.DictionaryArray:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string()).dictionary_encode()
    except UnicodeEncodeError:
        return _coded(values)


def _coded(values: Sequence[str | None]) -> pa.DictionaryArray:
    import pyarrow as pa

    try:
        return pa.array([value or None for value in values], pa.string()).dictionary_encode()
    except UnicodeEncodeError:
        clean = [value.encode("utf-8", "replace").decode() if value else None for value in values]
        return pa.array(clean, pa.string()).dictionary_encode()


def _shown(columns: Mapping[str, Any]) -> dict[str, pa.DictionaryArray]:
    """The columns that a line may show, as text."""
    import pyarrow as pa

    out = {}
    for name, column in columns.items():
        if isinstance(column, pa.DictionaryArray):
            out[name] = column
        elif name.endswith(":int"):
            out.setdefault(name[:-4], column.cast(pa.string()).dictionary_encode())
    return out


def _put_labels(columns: dict[str, Any], labels: Sequence[Any]) -> None:
    import pyarrow as pa

    numbers: dict[int, int] = {}
    codes = pa.array([numbers.setdefault(id(one), len(numbers)) for one in labels], pa.int32())
    given = [dict(one) for one in {id(one): one for one in labels}.values()]
    others = [
        json.dumps(rest, sort_keys=True)
        if (rest := {k: v for k, v in one.items() if k not in LABELS})
        else None
        for one in given
    ]
    for name, values in (*((name, [one.get(name) for one in given]) for name in LABELS), ("labels", others)):
        if any(values):
            columns[name] = _spread(_coded(values), codes)


def _spread(coded: pa.DictionaryArray, codes: pa.Array) -> pa.DictionaryArray:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(coded.indices.take(codes), coded.dictionary)


def _put_fields(columns: dict[str, Any], given: Sequence[Mapping[str, Any]]) -> None:
    """The columns of fields; each different mapping is looked at once."""
    import pyarrow as pa

    numbers: dict[int, int] = {}
    codes = [numbers.setdefault(id(one), len(numbers)) for one in given]
    distinct: Sequence[Mapping[str, Any]] = list({id(one): one for one in given}.values())
    size = len(distinct)
    # Mappings of the same names in the same order are taken apart together: by column, not one by one.
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, fields in enumerate(distinct):
        alike.setdefault(tuple(fields), []).append(number)
    found: dict[str, list[Any]] = {}
    for names, rows in alike.items():
        whole = len(rows) == size
        lists = zip(*[distinct[row].values() for row in rows], strict=True)
        for name, values in zip(names, lists, strict=True):
            kinds = set(map(type, values))
            place = name + _PLAIN.get(next(iter(kinds)), "?") if len(kinds) == 1 else "?"
            wide = kinds == {int} and not -_MOST_INT <= min(values) <= max(values) < _MOST_INT
            if place.endswith("?") or ":" in name or wide:
                _put_mixed(found, name, rows, values, size)
            elif whole:
                found[place] = list(values)
            else:
                column = found.setdefault(place, [None] * size)
                for row, value in zip(rows, values, strict=True):
                    column[row] = value
    spread = None if size == len(given) else pa.array(codes, pa.int32())
    rest: list[list[tuple[str, str]]] | None = None
    for name in _few(found, size):
        rest = rest or [[] for _ in range(size)]
        for number, value in enumerate(found.pop(name)):
            if value is not None:
                rest[number].append((name, as_rest(name, value)))
    for name, held in found.items():
        column_name = f"f.{name}" if name.partition(":")[0] in OWN else name
        kind = {":int": pa.int64(), ":float": pa.float64(), ":bool": pa.bool_()}.get(
            name[name.rfind(":") :] if ":" in name else ""
        )
        array = _text(held) if kind is None else pa.array(held, kind)
        if spread is not None:
            array = _spread(array, spread) if kind is None else array.take(spread)
        columns[column_name] = array
    if rest is not None:
        array = pa.array([pairs or None for pairs in rest], pa.map_(pa.string(), pa.string()))
        columns["rest"] = array if spread is None else array.take(spread)


def _put_mixed(
    found: dict[str, list[Any]], name: str, rows: Sequence[int], values: Sequence[Any], size: int
) -> None:
    """A field whose values are of several types, or have an inside: each in the column of its own."""
    for row, value in zip(rows, values, strict=True):
        for inner, one in flattened({name: value}):
            place, kept = typed(inner.replace(":", COLON), one)
            found.setdefault(place, [None] * size)[row] = kept


def _few(found: Mapping[str, list[Any]], size: int) -> list[str]:
    """The fields that do not get a column."""
    counts = {
        name: size - values.count(None)
        for name, values in found.items()
        if name.partition(":")[0] not in _HOUSE
    }
    few = {name for name, count in counts.items() if count * _RARE < size}
    most = sorted((name for name in counts if name not in few), key=lambda name: (-counts[name], name))
    return sorted(few | set(most[MAX_COLUMNS:]))


def typed(name: str, value: Any) -> tuple[str, Any]:
    """The column's name (before `column_of`) and what lies in it."""
    if isinstance(value, bool):
        return name + ":bool", value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return name + ":int", value
    if isinstance(value, float):
        return name + ":float", value
    if isinstance(value, str):
        return name, value
    return name + ":list", json.dumps(value)


def as_rest(name: str, value: Any) -> str:
    """A value as JSON, for the map."""
    return value if name.endswith(":list") else json.dumps(value)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables end to end; a column that some do not have is empty there, one that few rows have goes into `rest`."""
    import pyarrow as pa

    whole = pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    extra = [name for name in whole.column_names if name not in OWN and name.partition(":")[0] not in _HOUSE]
    if len(extra) <= MAX_COLUMNS:
        return whole
    extra.sort(key=lambda name: whole.column(name).null_count)
    folded = extra[MAX_COLUMNS:]
    rest = whole.column("rest").to_pylist() if "rest" in whole.column_names else [None] * len(whole)
    for name in folded:
        field = name.removeprefix("f.")
        for number, value in enumerate(whole.column(name).to_pylist()):
            if value is not None:
                rest[number] = [*(rest[number] or ()), (field, as_rest(field, value))]
    kept = whole.drop_columns([*folded, *(["rest"] if "rest" in whole.column_names else [])])
    return kept.append_column("rest", pa.array(rest, pa.map_(pa.string(), pa.string())))


# --- reading ---------------------------------------------------------------------------------------------


def _read_lines(batch: _Batch, parser: Parser, events: Sequence[RawEvent]) -> None:
    parsed = parser.parse(events)
    batch.texts += parsed.raw
    batch.time += parsed.time_ns
    batch.seen += [event.seen_ns for event in events]
    batch.labels += [event.labels for event in events]
    batch.level += parsed.level
    batch.logger += parsed.logger
    batch.message += parsed.message
    batch.format += parsed.format
    batch.fields += [one or _NONE for one in parsed.fields]
    nothing = [None] * len(events)
    batch.index += nothing
    batch.id += nothing
    batch.form += nothing


def _read_document(batch: _Batch, parser: Parser, one: Document) -> None:
    fields: dict[str, Any] = dict(flattened(one.fields))
    time_ns, level, logger, message, form = one.time_ns, "", "", "", one.form
    if one.form == LINE:
        parsed = parser.parse([RawEvent(one.seen_ns, one.labels, one.text)])
        level, logger, message = parsed.level[0], parsed.logger[0], parsed.message[0]
        form, time_ns = parsed.format[0], time_ns or parsed.time_ns[0]
        fields = {**dict(parsed.fields[0] or {}), **fields}
        given, _, house, own = known({name: value for name, value in fields.items() if name != "message"})
        level = given or level
    else:
        source = json.loads(one.text)
        fields = {**dict(flattened(source)), **fields}
        stamp = fields.pop("@timestamp", None) if isinstance(fields.get("@timestamp"), str) else None
        time_ns = time_ns or (stamp_ns(stamp) if stamp else 0)
        level, message, house, own = known(fields)
    logger = house.pop("logger", logger)
    labels = dict(one.labels)
    batch.texts.append(one.text)
    batch.time.append(time_ns if 0 < time_ns < 1 << 62 else one.seen_ns)
    batch.seen.append(one.seen_ns)
    batch.labels.append(tuple(sorted(labels.items())))
    batch.level.append(level)
    batch.logger.append(logger)
    batch.message.append(message)
    batch.format.append(form)
    batch.fields.append({**own, **house})
    batch.index.append(one.index or None)
    batch.id.append(one.id or None)
    batch.form.append(one.form)
