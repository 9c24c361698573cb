"""Which lines of a batch follow from their fields by a shape (`shapes`). Pure but for what `Fitter` remembers.

Every candidate is written again from its columns and compared with the line: only what is the same byte for byte fits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from weatherglass.logs.shapes import ORDER, TIMES, derive, line, parts, time_text

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_TRIES = 6  # shapes looked for among lines that have the same fields
_KNOWN = 8  # shapes remembered of them
_REMEMBERED = 512


class Fitter:
    """Remembers the shapes that fitted lately. One thread at a time."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], list[str]] = OrderedDict()

    def fit(
        self,
        texts: Sequence[str],
        messages: Sequence[str],
        text_column: pa.Array,
        message_column: pa.Array,
        time_ns: np.ndarray,
        columns: Mapping[str, pa.DictionaryArray],
    ) -> tuple[list[str | None], dict[int, str]]:
        """(shape or None of each line, tails of those that have one)."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        size = len(texts)
        shapes = np.full(size, -1, np.int32)
        names: dict[str, int] = {}
        tails: dict[int, str] = {}
        used = [name for name in ORDER if name in columns]
        form = columns["format"]
        # Lines of one format with the same fields mostly have one shape.
        signature = form.indices.to_numpy().astype(np.int64)
        for bit, name in enumerate(used):
            signature |= pc.is_valid(columns[name]).to_numpy(zero_copy_only=False).astype(np.int64) << (
                bit + 16
            )
        grown = pc.greater(
            pc.subtract(pc.binary_length(text_column), pc.binary_length(message_column)), 400
        ).to_numpy(zero_copy_only=False)
        lines = np.fromiter((text.count("\n", 0, -1) for text in texts), np.int32, size) > 0
        lines |= grown
        for number in np.flatnonzero(lines).tolist():
            values = {name: columns[name][number].as_py() for name in used}
            found = derive(texts[number], messages[number], int(time_ns[number]), values)
            if (
                found
                and line(found[0], _said(values), int(time_ns[number]), messages[number], found[1])
                == texts[number]
            ):
                shapes[number] = names.setdefault(found[0], len(names))
                if found[1]:
                    tails[number] = found[1]
        for one in np.unique(signature[~lines]).tolist():
            rows = np.flatnonzero((signature == one) & ~lines)
            key = (form.dictionary[one & 0xFFFF].as_py(), one >> 16)
            known = self._known.pop(key, [])
            tried = 0
            waiting = list(known)
            while len(rows) and tried < _TRIES:
                if waiting:
                    shape = waiting.pop(0)
                else:
                    tried += 1
                    number = int(rows[0])
                    values = {name: columns[name][number].as_py() for name in used}
                    found = derive(texts[number], messages[number], int(time_ns[number]), values)
                    if found is None or found[1]:
                        rows = rows[1:]
                        continue
                    shape = found[0]
                whole = len(rows) == size
                index = None if whole else pa.array(rows)
                written = self._write(
                    shape, index, size, message_column, time_ns if whole else time_ns[rows], columns
                )
                same = pc.equal(written, text_column if index is None else text_column.take(index))
                fits = np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), bool)
                if fits.any():
                    shapes[rows[fits]] = names.setdefault(shape, len(names))
                    known = [shape, *(other for other in known if other != shape)][:_KNOWN]
                elif not waiting and tried:
                    rows = rows[1:]  # the line that it was derived from: nothing gives it
                    continue
                rows = rows[~fits]
            self._known[key] = known
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        listed = [*names, None]
        return [listed[code] for code in shapes.tolist()], tails

    def _write(
        self,
        shape: str,
        rows: pa.Array | None,
        size: int,
        messages: pa.Array,
        time_ns: np.ndarray,
        columns: Mapping[str, pa.DictionaryArray],
    ) -> pa.Array:
        """The lines that a shape gives for rows."""
        import pyarrow as pa
        import pyarrow.compute as pc

        out: list[object] = []
        for is_field, text in parts(shape):
            if not is_field:
                out.append(fixed(text))
            elif text == "message":
                out.append(messages if rows is None else messages.take(rows))
            elif text.startswith("time:"):
                out.append(_times(time_ns, text[5:]))
            elif text in columns:
                column = columns[text] if rows is None else columns[text].take(rows)
                out.append(column.cast(pa.string()))
            else:
                return pa.nulls(size if rows is None else len(rows), pa.string())
        return pc.binary_join_element_wise(*out, fixed(""))


@lru_cache(4096)
def fixed(text: str) -> pa.Scalar:
    """A text as Arrow has it. Given as Python's, pyarrow would look for pandas each time: 0.2 ms."""
    import pyarrow as pa

    return pa.scalar(text, pa.string())


def _said(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _times(time_ns: np.ndarray, style: str) -> pa.Array:
    """Instants as `shapes.time_text` shows them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    form, _, digits = style.partition(".")
    unit = {"0": ("s", 10**9), "3": ("ms", 10**6), "6": ("us", 1000), "9": ("ns", 1)}.get(digits)
    if unit and form in ("iso", "iso,", "isoT"):
        shown = pa.array(time_ns // unit[1], pa.int64()).cast(pa.timestamp(unit[0])).cast(pa.string())
        if form == "isoT":
            return pc.replace_substring(shown, " ", "T", max_replacements=1)
        return pc.replace_substring(shown, ".", ",") if form == "iso," else shown
    assert form in TIMES
    return pa.array([time_text(at, style) for at in time_ns.tolist()], pa.string())
