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
from weatherglass.logs.fitting import fixed
from weatherglass.logs.frame import STAR, Frame
from weatherglass.logs.leaves import Test
from weatherglass.logs.patterns import Ways, sure, ways
from weatherglass.logs.words import may_have, wordy

if TYPE_CHECKING:
    import pyarrow as pa

Mask = "bool | np.ndarray"
Asked = Callable[[Frame], Any]
LETTER = "\ua66e"  # of no living language
NO_WAY = Ways((), False)
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
            mask = _or(mask, _in_columns(frame, column, test))
        if number:
            mask = _or(mask, _in_labels(frame, number, test))
        if frame.has("rest"):
            mask = _or(mask, _in_rest(frame, name, test))
        return mask

    return asked


def _columns_of(name: str) -> tuple[str, ...]:
    """The columns in which a field's values may lie, but for their types."""
    return (name, f"f.{name}") if name in OWN and name not in NO_FIELD else (column_of(name),)


def _or(mask: Any, found: Any) -> Any:
    if mask is True or found is True:
        return True
    return found if mask is False else mask if found is False else mask | found


def _in_columns(frame: Frame, column: str, test: Test) -> Any:
    import numpy as np

    mask: Any = False
    if frame.has(column):
        coded = frame.coded(column)
        if coded is not None:
            mask = coded.spread(test.strings(coded.values))
    for kind in (":int", ":float", ":bool"):
        if frame.has(column + kind):
            found = frame.numbers(column + kind)
            assert found is not None
            values, there = found
            if kind == ":bool":
                answers = np.array([test.one("false"), test.one("true")])
                mask = _or(mask, answers[values.astype(np.int8)] & there)
            else:
                mask = _or(mask, test.numbers(values) & there)
    if frame.has(column + ":list"):
        coded = frame.coded(column + ":list")
        assert coded is not None
        mask = _or(
            mask,
            coded.spread(np.array([test.plain(json.loads(one)) for one in coded.values.to_pylist()], bool)),
        )
    return mask


def _in_labels(frame: Frame, name: str, test: Test) -> Any:
    """A label without a column: each different JSON of them is read once."""
    import numpy as np

    if not frame.has("labels"):
        return False
    coded = frame.coded("labels")
    assert coded is not None
    found = [name in (given := json.loads(one)) and test.one(given[name]) for one in coded.values.to_pylist()]
    return coded.spread(np.array(found, bool))


def rest_of(frame: Frame, name: str | None) -> list[tuple[int, str, str]]:
    """(row, field, JSON of the value) of what lies in the map, of one field or of all."""
    import numpy as np
    import pyarrow.compute as pc

    array = frame.array("rest", keep=True)
    if array is None:
        return []
    keys, items = array.keys, array.items
    rows = np.repeat(np.arange(len(array)), np.diff(array.offsets.to_numpy()))
    begin = array.offsets[0].as_py()
    keys, items = keys[begin : begin + len(rows)], items[begin : begin + len(rows)]
    if name is not None:
        wanted = [name + kind for kind in ("", ":int", ":float", ":bool", ":list")]
        there = np.flatnonzero(pc.is_in(keys, value_set=_array(wanted)).to_numpy(zero_copy_only=False))
        keys, items, rows = keys.take(there), items.take(there), rows[there]
    return list(zip(rows.tolist(), keys.to_pylist(), items.to_pylist(), strict=True))


def _array(values: Sequence[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.string())


def _in_rest(frame: Frame, name: str, test: Test) -> Any:
    import numpy as np

    found = [row for row, _, value in rest_of(frame, name) if test.plain(json.loads(value))]
    if not found:
        return False
    mask = np.zeros(frame.rows, bool)
    mask[found] = True
    return mask


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
                mask = _or(mask, tests[one](frame))
        return mask

    return asked


def _anywhere(leaf: Any, raw_alone: bool) -> Asked:
    """Any field of the event: its message, its traceback, its line where that is kept, and every other column."""
    text, plain = Test(leaf, text=True), Test(leaf, text=isinstance(leaf, f.Phrase | f.Fuzzy))

    def asked(frame: Frame) -> Any:
        mask = in_messages(frame, text)
        if mask is True:
            return True
        in_text = not text.words or all(may_have(frame.text_filter, text.words))
        in_fields = not text.words or all(may_have(frame.field_filter, text.words))
        for column in sorted(frame.columns.names):
            if (
                column in NO_FIELD
                or column in ("template", "shape")
                or (column.endswith((":int", ":float", ":bool")) and not text.words)
            ):
                continue
            if column in ("raw", "tail"):
                if in_text:
                    mask = _or(mask, _in_text(frame, column, text))
            elif in_fields or column in _SMALL:
                mask = _or(
                    mask,
                    _in_columns(frame, column.partition(":")[0], plain)
                    if ":" not in column
                    else _in_typed(frame, column, plain),
                )
        if frame.has("rest") and in_fields:
            found = [row for row, _, value in rest_of(frame, None) if plain.plain(json.loads(value))]
            if found:
                import numpy as np

                extra = np.zeros(frame.rows, bool)
                extra[found] = True
                mask = _or(mask, extra)
        return mask

    return asked


_SMALL = frozenset((*LABELS, "labels", "level", "logger", "format", "form", "index"))


def _in_typed(frame: Frame, column: str, test: Test) -> Any:
    name, _, _ = column.partition(":")
    return False if frame.has(name) else _in_columns(frame, name, test)


def _in_text(frame: Frame, column: str, test: Test) -> Any:
    """A column of long texts, each its own: asked as it lies."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = frame.array(column)
    if array is None:
        return False
    if pa.types.is_dictionary(array.type):
        coded = frame.coded(column)
        assert coded is not None
        return coded.spread(test.strings(coded.values))
    there = np.flatnonzero(pc.is_valid(array).to_numpy(zero_copy_only=False))
    if not len(there):
        return False
    found = test.strings(array.take(pa.array(there)))
    mask = np.zeros(frame.rows, bool)
    mask[there[found]] = True
    return mask


def in_messages(frame: Frame, test: Test) -> Any:
    """The leaf asked of messages: of each template once, then of the variables that may decide."""
    import numpy as np

    templates = frame.coded("template")
    if templates is None:
        return False
    names = templates.values.to_pylist()
    free = may_have(frame.text_filter, test.words)
    if isinstance(test.leaf, f.Phrase) and test.phrase and test.words:
        yes = np.array([sure(name, test.words) for name in names], bool)
        maybe = np.zeros(len(names), bool)
        mask = templates.spread(yes)
        for code, name in enumerate(names) if any(free) else ():
            how = NO_WAY if yes[code] else ways(name, test.words, tuple(free))
            maybe[code] = how.several
            if how.slots and not how.several:
                mask = _or(mask, _in_slots(frame, code, name, how.slots, test))
    else:
        yes = np.array([STAR not in name and test.one(name) for name in names], bool)
        maybe = np.array([STAR in name for name in names], bool)
        mask = templates.spread(yes)
        if not all(free):
            folded = [name.casefold() for name in names]
            wanted = [word for word, there in zip(test.words, free, strict=True) if not there]
            maybe &= np.array([all(word in name for word in wanted) for name in folded], bool)
    if maybe.any():
        rows = np.flatnonzero(np.append(maybe, False)[templates.codes])
        found = np.zeros(frame.rows, bool)
        found[rows[test.strings(frame.messages(rows))]] = True
        mask = _or(mask, found)
    return mask


def _in_slots(frame: Frame, code: int, template: str, slots: Sequence[int], test: Test) -> Any:
    """The messages of a template in which one of these variables, with the fixed text around it, has the phrase."""
    import numpy as np
    import pyarrow.compute as pc

    pieces = template.split(STAR)
    templates = frame.coded("template")
    assert templates is not None
    found: np.ndarray | None = None
    for slot in slots:
        coded = frame.slot(code, slot)
        left, right = pieces[slot], pieces[slot + 1]
        # Where the next variable may go on with a word, none ends: that the two together have it is asked elsewhere.
        if slot and (not left or wordy(left[0])):
            left = LETTER + left
        if slot + 2 < len(pieces) and (not right or wordy(right[-1])):
            right += LETTER
        texts = pc.binary_join_element_wise(fixed(left), coded.values, fixed(right), fixed(""))
        answers = test.strings(texts)
        if answers.any():
            mine = answers[coded.codes]
            found = mine if found is None else found | mine
    if found is None:
        return False
    mask = np.zeros(frame.rows, bool)
    mask[templates.codes == code] = found
    return mask


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
                mask = _or(mask, _filled_messages(frame))
            inner = one + "."
            for column in frame.columns.names:
                if column in NO_FIELD:
                    continue
                field = field_of(column)
                if field == one or field.startswith(inner):
                    mask = _or(mask, _there(frame, column))
            if one.startswith("label."):
                mask = _or(mask, _in_labels(frame, one[6:], _ANY))
            found = [
                row for row, key, _ in rest_of(frame, None) if field_of(key) == one or key.startswith(inner)
            ]
            if found:
                import numpy as np

                extra = np.zeros(frame.rows, bool)
                extra[found] = True
                mask = _or(mask, extra)
        return mask

    return asked


_ANY = Test(f.Regexp("", ".*"), text=False)


def _filled_messages(frame: Frame) -> Any:
    import numpy as np

    coded = frame.coded("template")
    return coded.spread(np.array([bool(one) for one in coded.values.to_pylist()], bool)) if coded else False


def _there(frame: Frame, column: str) -> Any:
    import numpy as np
    import pyarrow.compute as pc

    array = frame.array(column)
    if array is None:
        return False
    return np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), bool) if array.null_count else True


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

        mask = _in_columns(frame, "id", test)
        here = [key for key in keys if frame.span[0] <= key[0] <= frame.span[1]]
        if here:
            found = np.isin(frame.ints("sequence"), [key[1] for key in here])
            found &= np.isin(frame.ints("time"), [key[0] for key in here])
            mask = _or(mask, found)
        return mask

    return asked
