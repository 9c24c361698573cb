"""Which rows of a frame a filter holds for. Pure.

An answer is True (all rows), False (none), or (rows,) bool. A plan (`prepare`) is made once for a query and asked of many
frames: in turn by time, by the filters of words, by the dictionary of each column, by templates, and last, where a
phrase may lie in variables, by the messages themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from weatherglass.base.errors import Invalid
from weatherglass.logs import filter as f
from weatherglass.logs.fields import ALIASES, LABELS, OWN, TIMES, bare, column_of, field_of, is_text
from weatherglass.logs.frame import Frame
from weatherglass.logs.leaves import Test
from weatherglass.logs.lookups import (
    either,
    filled,
    filled_messages,
    in_columns,
    in_labels,
    in_messages,
    in_rest,
    in_text,
    in_typed,
    rest_of,
)
from weatherglass.logs.words import may_have

if TYPE_CHECKING:
    pass

Mask = "bool | np.ndarray"
Asked = Callable[[Frame], Any]
NO_FIELD = frozenset(
    (
        "time",
        "sequence",
        "seen",
        "template_id",
        "variables",
        "filter",
        "field_filter",
        "exact",
        "rest",
        "form",
    )
)


def prepare(filter: f.Filter) -> Asked:
    """The filter, ready to be asked of frames. Raises Invalid."""
    if isinstance(filter, f.All):
        return lambda frame: True
    if isinstance(filter, f.Nothing):
        return lambda frame: False
    if isinstance(filter, f.Not):
        inner = prepare(filter.of)
        return lambda frame: negated(inner(frame))
    if isinstance(filter, f.And | f.Or):
        parts = [prepare(one) for one in filter.of]
        if isinstance(filter, f.And):
            return lambda frame: conjunction(frame, parts)
        least = filter.at_least
        return lambda frame: disjunction(frame, parts, least)
    if isinstance(filter, f.Ids):
        return _ids(filter)
    if isinstance(filter, f.Exists):
        return _exists(filter.field)
    return _leaf(filter)


def negated(mask: Any) -> Any:
    return (not mask) if isinstance(mask, bool) else ~mask


def conjunction(frame: Frame, parts: Sequence[Asked]) -> Any:
    mask: Any = True
    for part in parts:
        found = part(frame)
        if found is False or (found is not True and not found.any()):
            return False
        mask = found if mask is True else mask if found is True else mask & found
    return mask


def disjunction(frame: Frame, parts: Sequence[Asked], least: int) -> Any:
    import numpy as np

    if least <= 0:
        return True
    if least == 1:
        mask: Any = False
        for part in parts:
            found = part(frame)
            if found is True:
                return True
            mask = found if mask is False else mask if found is False else mask | found
        return mask
    total = np.zeros(frame.rows, np.int32)
    for part in parts:
        total += np.asarray(part(frame), np.int32)
    return total >= least


# --- leaves ----------------------------------------------------------------------------------------------


def _leaf(leaf: Any) -> Asked:
    name = bare(leaf.field)
    if name in TIMES:
        return _time(leaf, TIMES[name])
    if isinstance(leaf, f.Range) and leaf.time:
        return _dates(leaf, name)
    keyword = leaf.field.endswith(".keyword")
    if name in ("", "*", "_all", "raw"):
        return _anywhere(leaf, name == "raw")
    if any(sign in name for sign in "*?"):
        return _fields_like(leaf, name)
    tests = [_column_test(leaf, place, keyword) for place in dict.fromkeys((name, ALIASES.get(name, name)))]
    return tests[0] if len(tests) == 1 else (lambda frame: disjunction(frame, tests, 1))


def _column_test(leaf: Any, name: str, keyword: bool) -> Asked:
    """The leaf asked of one field, wherever its values lie."""
    test = Test(leaf, text=is_text(name) and not keyword)
    if name == "message":
        return lambda frame: in_messages(frame, test)
    columns = _columns_of(name)
    number = re.sub(r"^label\.", "", name) if name.startswith("label.") else ""
    small = name in ("level", "logger", "template", "form", "index", "format", *LABELS)

    def asked(frame: Frame) -> Any:
        if (
            not small
            and test.words
            and not test.text
            and not all(may_have(frame.field_filter, test.words))
            and not any(frame.has(column + ":float") for column in columns)
        ):
            return False
        mask: Any = False
        for column in columns:
            mask = either(mask, in_columns(frame, column, test))
        if number:
            mask = either(mask, in_labels(frame, number, test))
        if frame.has("rest"):
            mask = either(mask, in_rest(frame, name, test))
        return mask

    return asked


def _columns_of(name: str) -> tuple[str, ...]:
    """The columns in which a field's values may lie, but for their types."""
    return (name, f"f.{name}") if name in OWN and name not in NO_FIELD else (column_of(name),)


def _fields_like(leaf: Any, name: str) -> Asked:
    """A field whose name is a pattern: any that is like it."""
    like = re.compile(
        "".join(".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in name)
    )
    tests: dict[str, Asked] = {}

    def asked(frame: Frame) -> Any:
        names = {field_of(column) for column in frame.columns.names if column not in NO_FIELD}
        names |= {"message"} | {field_of(key) for _, key, _ in rest_of(frame, None)}
        mask: Any = False
        for one in sorted(names):
            if like.fullmatch(one):
                tests[one] = tests.get(one) or _column_test(leaf, one, False)
                mask = either(mask, tests[one](frame))
        return mask

    return asked


def _anywhere(leaf: Any, raw_alone: bool) -> Asked:
    """Any field of the event: its message, its traceback, its line where that is kept, and every other column."""
    text, plain = Test(leaf, text=True), Test(leaf, text=isinstance(leaf, f.Phrase | f.Fuzzy))

    def asked(frame: Frame) -> Any:
        mask = in_messages(frame, text)
        if mask is True:
            return True
        texts = not text.words or all(may_have(frame.text_filter, text.words))
        in_fields = not text.words or all(may_have(frame.field_filter, text.words))
        for column in sorted(frame.columns.names):
            if (
                column in NO_FIELD
                or column in ("template", "shape")
                or (column.endswith((":int", ":float", ":bool")) and not text.words)
            ):
                continue
            if column in ("raw", "tail"):
                if texts:
                    mask = either(mask, in_text(frame, column, text))
            elif in_fields or column in _SMALL:
                mask = either(
                    mask,
                    in_columns(frame, column.partition(":")[0], plain)
                    if ":" not in column
                    else in_typed(frame, column, plain),
                )
        if frame.has("rest") and in_fields:
            found = [row for row, _, value in rest_of(frame, None) if plain.plain(json.loads(value))]
            if found:
                import numpy as np

                extra = np.zeros(frame.rows, bool)
                extra[found] = True
                mask = either(mask, extra)
        return mask

    return asked


_SMALL = frozenset((*LABELS, "labels", "level", "logger", "format", "form", "index"))


def _time(leaf: Any, column: str) -> Asked:
    """A leaf of time: a range in ns, or one instant."""
    if isinstance(leaf, f.Range):
        low, high = bounds_ns(leaf)
    elif isinstance(leaf, f.Term) and isinstance(leaf.value, int):
        low, high = leaf.value, leaf.value + 1
    else:
        raise Invalid(
            "time is asked for by a range of instants", where=leaf.field, mend="@timestamp:[now-1h TO now]"
        )

    def asked(frame: Frame) -> Any:
        first, last = frame.span
        if column == "time":
            if low <= first and last < high:
                return True
            if last < low or first >= high:
                return False
        values = frame.ints(column)
        return (values >= low) & (values < high)

    return asked


def bounds_ns(leaf: f.Range) -> tuple[int, int]:
    """(first, end) ns, the end not included."""

    def whole(bound: Any) -> int:
        try:
            return max(-(1 << 62), min(1 << 62, int(bound)))
        except (TypeError, ValueError, OverflowError) as error:
            raise Invalid(
                f"{bound!r} is no instant", where=leaf.field, mend="nanoseconds since the epoch"
            ) from error

    lows = [whole(leaf.gte)] if leaf.gte is not None else []
    lows += [whole(leaf.gt) + 1] if leaf.gt is not None else []
    highs = [whole(leaf.lt)] if leaf.lt is not None else []
    highs += [whole(leaf.lte) + 1] if leaf.lte is not None else []
    return max(lows, default=-(1 << 62)), min(highs, default=1 << 62)


def _dates(leaf: f.Range, name: str) -> Asked:
    """A range over a document's own field of dates: ISO text, or ms since the epoch."""
    import numpy as np

    from weatherglass.logs.values import numbers_of

    low, high = bounds_ns(leaf)

    def asked(frame: Frame) -> Any:
        rows, values = numbers_of(frame, name, time=True)
        mask = np.zeros(frame.rows, bool)
        mask[rows[(values >= low) & (values < high)]] = True
        return mask

    return asked


def _exists(given: str) -> Asked:
    name = bare(given)
    names = tuple(dict.fromkeys((name, ALIASES.get(name, name))))

    def asked(frame: Frame) -> Any:
        if name in TIMES or name in ("*", "raw", ""):
            return True
        mask: Any = False
        for one in names:
            if one == "message":
                mask = either(mask, filled_messages(frame))
            inner = one + "."
            for column in frame.columns.names:
                if column in NO_FIELD:
                    continue
                field = field_of(column)
                if field == one or field.startswith(inner):
                    mask = either(mask, filled(frame, column))
            if one.startswith("label."):
                mask = either(mask, in_labels(frame, one[6:], _ANY))
            found = [
                row for row, key, _ in rest_of(frame, None) if field_of(key) == one or key.startswith(inner)
            ]
            if found:
                import numpy as np

                extra = np.zeros(frame.rows, bool)
                extra[found] = True
                mask = either(mask, extra)
        return mask

    return asked


_ANY = Test(f.Regexp("", ".*"), text=False)


def _ids(filter: f.Ids) -> Asked:
    from weatherglass.logs.query import parse_cursor

    test = Test(f.Terms("id", filter.values), text=False)
    keys = set()
    for one in filter.values:
        try:
            keys.add(parse_cursor(one))
        except Invalid:
            continue

    def asked(frame: Frame) -> Any:
        import numpy as np

        mask = in_columns(frame, "id", test)
        here = [key for key in keys if frame.span[0] <= key[0] <= frame.span[1]]
        if here:
            found = np.isin(frame.ints("sequence"), [key[1] for key in here])
            found &= np.isin(frame.ints("time"), [key[0] for key in here])
            mask = either(mask, found)
        return mask

    return asked
