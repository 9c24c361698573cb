"""Where one leaf of a filter holds in a frame: in a field's columns, in labels, in the map of rare fields, in messages. Pure.

An answer is True (all rows), False (none), or (rows,) bool.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from weatherglass.logs import filter as f
from weatherglass.logs.fitting import fixed
from weatherglass.logs.frame import STAR, Frame
from weatherglass.logs.leaves import Test
from weatherglass.logs.patterns import Ways, sure, ways
from weatherglass.logs.words import may_have, wordy

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

LETTER = "\ua66e"  # of no living language
NO_WAY = Ways((), False)


def either(mask: Any, found: Any) -> Any:
    if mask is True or found is True:
        return True
    return found if mask is False else mask if found is False else mask | found


def in_columns(frame: Frame, column: str, test: Test) -> Any:
    import numpy as np

    mask: Any = False
    if frame.has(column):
        coded = frame.coded(column)
        if coded is not None:
            mask = coded.spread(test.strings(coded.values))
    for kind in (":int", ":float", ":bool"):
        if frame.has(column + kind) and test.asks(kind):
            found = frame.numbers(column + kind)
            assert found is not None
            values, there = found
            if kind == ":bool":
                answers = np.array([test.one("false"), test.one("true")])
                mask = either(mask, answers[values.astype(np.int8)] & there)
            else:
                mask = either(mask, test.numbers(values) & there)
    if frame.has(column + ":list"):
        coded = frame.coded(column + ":list")
        assert coded is not None
        mask = either(
            mask,
            coded.spread(np.array([test.plain(json.loads(one)) for one in coded.values.to_pylist()], bool)),
        )
    return mask


def in_labels(frame: Frame, name: str, test: Test) -> Any:
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
        there = np.flatnonzero(pc.is_in(keys, value_set=texts_of(wanted)).to_numpy(zero_copy_only=False))
        keys, items, rows = keys.take(there), items.take(there), rows[there]
    return list(zip(rows.tolist(), keys.to_pylist(), items.to_pylist(), strict=True))


def texts_of(values: Sequence[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.string())


def in_rest(frame: Frame, name: str, test: Test) -> Any:
    import numpy as np

    found = [row for row, _, value in rest_of(frame, name) if test.plain(json.loads(value))]
    if not found:
        return False
    mask = np.zeros(frame.rows, bool)
    mask[found] = True
    return mask


def in_typed(frame: Frame, column: str, test: Test) -> Any:
    name, _, _ = column.partition(":")
    return False if frame.has(name) else in_columns(frame, name, test)


def in_text(frame: Frame, column: str, test: Test) -> Any:
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
                mask = either(mask, _in_slots(frame, code, name, how.slots, test))
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
        mask = either(mask, found)
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


def filled(frame: Frame, column: str) -> Any:
    import numpy as np
    import pyarrow.compute as pc

    array = frame.array(column)
    if array is None:
        return False
    return np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False), bool) if array.null_count else True


def filled_messages(frame: Frame) -> Any:
    import numpy as np

    coded = frame.coded("template")
    return coded.spread(np.array([bool(one) for one in coded.values.to_pylist()], bool)) if coded else False
