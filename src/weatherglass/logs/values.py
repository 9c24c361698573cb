"""The values of one field in a frame, for sorting and counting: whole columns, whatever their types. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from weatherglass.base.time import MS_NS
from weatherglass.logs.fields import ALIASES, KINDS, OWN, TIMES, bare, column_of
from weatherglass.logs.frame import Coded, Frame
from weatherglass.logs.leaves import as_number
from weatherglass.logs.lookups import rest_of
from weatherglass.logs.reading import stamp_ns

if TYPE_CHECKING:
    import numpy as np


def columns_for(frame: Frame, field: str) -> list[str]:
    """The columns that hold a field's values; those of the name it is another name of, where it has none itself."""
    name = bare(field)
    for one in dict.fromkeys((name, ALIASES.get(name, name))):
        places = (one, f"f.{one}") if one in OWN else (column_of(one),)
        found = [place + kind for place in places for kind in KINDS if frame.has(place + kind)]
        if found:
            return found
    return []


def values_of(
    frame: Frame, field: str, rows: np.ndarray | None = None
) -> tuple[np.ndarray, list[Any], np.ndarray]:
    """(rows, distinct values, codes): pair `i` says that row `rows[i]` has the value `values[codes[i]]`.

    A row with several values is there several times. Asked of `rows` (all), which are ascending.
    """
    import numpy as np

    wanted = np.arange(frame.rows) if rows is None else rows
    name = bare(field)
    if name in TIMES:
        distinct, codes = np.unique(frame.ints(TIMES[name])[wanted], return_inverse=True)
        return wanted, distinct.tolist(), codes
    if name in ("message", "raw"):
        found = frame.messages(wanted).dictionary_encode()
        return wanted, found.dictionary.to_pylist(), found.indices.fill_null(0).to_numpy()
    parts: list[tuple[np.ndarray, list[Any], np.ndarray]] = []
    for column in columns_for(frame, field):
        parts.append(_column_values(frame, column, wanted))
    if name.startswith("label.") and frame.has("labels"):
        coded = frame.coded("labels")
        assert coded is not None
        given = [json.loads(one).get(name[6:]) for one in coded.values.to_pylist()]
        parts.append(_of_codes(coded, wanted, given))
    if frame.has("rest"):
        pairs = rest_of(frame, name)
        if pairs:
            inside = np.isin(np.array([row for row, _, _ in pairs]), wanted).tolist()
            spread = [
                (row, one)
                for (row, _, value), there in zip(pairs, inside, strict=True)
                if there
                for one in _listed(json.loads(value))
            ]
            numbers: dict[Any, int] = {}
            codes_ = [numbers.setdefault((type(one), one), len(numbers)) for _, one in spread]
            parts.append(
                (
                    np.array([row for row, _ in spread], np.int64),
                    [one for _, one in numbers],
                    np.array(codes_, np.int64),
                )
            )
    return _together(parts)


def _listed(value: Any) -> list[Any]:
    return (
        [one for one in value if isinstance(one, str | int | float | bool)]
        if isinstance(value, list)
        else [value]
    )


def _of_codes(
    coded: Coded, wanted: np.ndarray, values: list[Any]
) -> tuple[np.ndarray, list[Any], np.ndarray]:
    """The pairs of a coded column whose dictionary means `values` (None: nothing; a list: several)."""
    import numpy as np

    codes = coded.codes[wanted].astype(np.int64)
    if not any(value is None or isinstance(value, list) for value in values):
        there = codes < len(values)
        return (wanted, values, codes) if there.all() else (wanted[there], values, codes[there])
    numbers: dict[Any, int] = {}
    listed = [
        [numbers.setdefault((type(one), one), len(numbers)) for one in _listed(value)]
        if value is not None
        else []
        for value in values
    ]
    sizes = np.array([len(one) for one in listed] + [0])
    begins = np.concatenate([[0], np.cumsum(sizes)])
    flat = np.array([one for each in listed for one in each], np.int64)
    counts = sizes[codes]
    rows = np.repeat(wanted, counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, [one for _, one in numbers], flat[np.repeat(begins[codes], counts) + within]


def _column_values(frame: Frame, column: str, wanted: np.ndarray) -> tuple[np.ndarray, list[Any], np.ndarray]:
    import numpy as np

    if column.endswith((":int", ":float", ":bool")) or column in ("template_id", "duration_ns"):
        found = frame.numbers(column)
        assert found is not None
        values, there = found
        rows = wanted[there[wanted]]
        distinct, codes = np.unique(values[rows], return_inverse=True)
        return rows, [bool(one) for one in distinct] if column.endswith(":bool") else distinct.tolist(), codes
    coded = frame.coded(column)
    assert coded is not None
    known = coded.values.to_pylist()
    return _of_codes(coded, wanted, [json.loads(one) for one in known] if column.endswith(":list") else known)


def _together(
    parts: list[tuple[np.ndarray, list[Any], np.ndarray]],
) -> tuple[np.ndarray, list[Any], np.ndarray]:
    import numpy as np

    parts = [part for part in parts if len(part[0])]
    if not parts:
        return np.array([], np.int64), [], np.array([], np.int64)
    if len(parts) == 1:
        return parts[0]
    values: list[Any] = []
    codes = []
    for _, distinct, own in parts:
        codes.append(own + len(values))
        values += distinct
    rows = np.concatenate([part[0] for part in parts])
    order = np.argsort(rows, kind="stable")
    return rows[order], values, np.concatenate(codes)[order]


def numbers_of(
    frame: Frame, field: str, rows: np.ndarray | None = None, *, time: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(rows, float64 or int64 numbers) of a field: what reads as one. With `time`: dates, as ns."""
    import numpy as np

    columns = columns_for(frame, field)
    name = bare(field)
    if name in TIMES:
        wanted = np.arange(frame.rows) if rows is None else rows
        return wanted, frame.ints(TIMES[name])[wanted]
    if len(columns) == 1 and not time and columns[0].endswith((":int", ":float")) and not frame.has("rest"):
        found = frame.numbers(columns[0])
        assert found is not None
        wanted = np.arange(frame.rows) if rows is None else rows
        there = wanted[found[1][wanted]]
        return there, found[0][there]
    places, values, codes = values_of(frame, field, rows)
    read = [_date(one) if time else as_number(one) for one in values]
    fine = np.array([one is not None for one in read], bool)
    if not len(fine):
        return places, np.array([], np.float64)
    table = np.array([0 if one is None else one for one in read])
    keep = fine[codes]
    return places[keep], table[codes[keep]]


def _date(value: Any) -> int | None:
    if isinstance(value, str):
        return stamp_ns(value) or stamp_ns(value + "T00:00:00") or None
    return int(value * MS_NS) if isinstance(value, int | float) and not isinstance(value, bool) else None
