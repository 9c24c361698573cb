"""Label sets and postings as arrays, against dicts of Python."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Corrupt
from weatherglass.kernels.labels import write_labels
from weatherglass.kernels.labelsets import LabelSets

TEXT = st.sampled_from(["", "a", "b", "ab", "ba", "é", "n\nl", "x" * 200])
SETS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "é", "__name__"]), TEXT), max_size=20)


def body_of(sets, numbers):
    keys = [write_labels(sorted(one.items())) for one in sets]
    packed = zip(numbers, keys, strict=True)
    return b"".join(struct.pack("<II", number, len(key)) + key for number, key in packed)


def ints(*many):
    return np.array(many, np.int64)


def pair(sets, name, value):
    known = sets.name(name.encode())
    return -1 if known < 0 else sets.pair(known, value.encode())


@settings(max_examples=300, deadline=None)
@given(SETS, st.randoms())
def test_sets_and_postings_are_dicts(many, chance):
    numbers = chance.sample(range(100), len(many))
    sets, body = LabelSets(), body_of(many, numbers)
    assert sets.load(body).tolist() == numbers and sets.load(body).tolist() == []
    by_number = dict(zip(numbers, many, strict=True))
    expected = {}
    for number, labels in by_number.items():
        key = write_labels(sorted(labels.items()))
        assert sets.knows(number) and sets.key(number) == key
        told = [(sets.text(sets.name_of(one)).decode(), sets.text(one).decode()) for one in sets.ids(number)]
        assert told == sorted(labels.items())
        for one in labels.items():
            expected.setdefault(one, []).append(number)
    for (name, value), posting in expected.items():
        found = ints(pair(sets, name, value))
        assert sets.gather(found).tolist() == sorted(posting) and sets.sizes(found).tolist() == [len(posting)]
    assert sets.gather(ints(0)).tolist() == sorted(numbers)
    assert sets.packed(ints(*numbers)) == body and not sets.knows(100) and not sets.knows(-1)


@settings(max_examples=200, deadline=None)
@given(SETS, st.sampled_from(["a", "é", "__name__"]), TEXT, st.integers(0, 2), st.integers(0, 1))
def test_scanning_and_keeping_are_comprehensions(many, name, text, how, more):
    sets = LabelSets()
    sets.load(body_of(many, range(len(many))))
    known = sets.name(name.encode())
    values = {one[name] for one in many if name in one}
    assert (known >= 0) == bool(values)
    if known < 0:
        return
    test = (str.startswith, str.endswith, str.__contains__)[how]
    ids = sets.scan(known, how, text.encode(), more)
    passing = {v for v in values if test(v, text) and len(v.encode()) >= len(text.encode()) + more}
    assert {sets.text(one).decode() for one in ids.tolist()} == passing
    flags = np.zeros(sets.entry_count, np.uint8)
    flags[ids] = 1
    numbers = np.arange(-1, len(many) + 2)
    for absent in (False, True):
        kept = [n for n, one in enumerate(many) if (one[name] in passing if name in one else absent)]
        assert sets.keep(numbers, known, flags, absent).tolist() == kept
    under = sets.pairs_under(np.arange(len(many)), known).tolist()
    assert under == [pair(sets, name, one[name]) if name in one else -1 for one in many]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=4))
def test_what_is_no_label_set_is_corrupt_and_never_read_past_its_end(keys):
    sets = LabelSets()
    for number, key in enumerate(keys):
        try:
            sets.know(key, number)
        except Corrupt:
            assert not sets.knows(number)
        else:
            assert sets.key(number) == key or write_labels is not None
    whole = body_of([{"a": "b"}], [0])
    for size in range(1, len(whole)):
        with pytest.raises(Corrupt):
            LabelSets().load(whole[:size])


def test_ids_that_are_not_there_are_refused():
    sets = LabelSets()
    sets.load(body_of([{"a": "b"}], [3]))
    for wrong in (
        lambda: sets.ids(0),
        lambda: sets.key(9),
        lambda: sets.packed(ints(0)),
        lambda: sets.text(99),
    ):
        with pytest.raises(IndexError):
            wrong()
    for wrong in (
        lambda: sets.gather(ints(99)),
        lambda: sets.sizes(ints(-1)),
        lambda: sets.scan(2, 0, b"", 0),
        lambda: sets.publish(ints(0)),
        lambda: sets.keep(ints(3), 1, np.zeros(1, np.uint8), False),
        lambda: sets.name_of(0),
    ):
        with pytest.raises(IndexError):
            wrong()
