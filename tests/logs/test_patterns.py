"""Phrases over templates: what is told from the template and from one variable agrees with the message itself."""

from __future__ import annotations

import re
from zlib import crc32

from hypothesis import example, given, settings
from hypothesis import strategies as st

from weatherglass.base.time import SECOND_NS
from weatherglass.engine.protocols import RawEvent
from weatherglass.kernels.wordsets import Words
from weatherglass.logs import filter as f
from weatherglass.logs import shapes
from weatherglass.logs.frame import Columns, Frame
from weatherglass.logs.matching import prepare
from weatherglass.logs.patterns import sure, ways
from weatherglass.logs.taking import Taker, Write
from weatherglass.logs.words import FEW, MANY, distinct_words, make_filter, may_have, take_words

T0 = 1_800_000_000 * SECOND_NS
PIECES = ["a", "b", "aa", " ", "-", " b ", "a b", "_", ""]
TEXT = st.lists(st.sampled_from(["a", "b", "ab", " ", "-", ".", "1"]), max_size=4).map("".join)


def has(text: str, words: list[str]) -> bool:
    return re.search(r"(?<!\w)" + r"\W+".join(words) + r"(?!\w)", text) is not None


class Template:
    """A fake frame of one template: its variables' values as given."""

    def __new__(cls, pieces: list[str], rows: list[list[str]]) -> Frame:
        import pyarrow as pa

        size = len(rows)
        table = pa.table(
            {
                "template": pa.array(["<*>".join(pieces)] * size).dictionary_encode(),
                "variables": pa.array(rows, pa.list_(pa.string())),
                "time": pa.array([T0] * size),
                "sequence": pa.array(range(size)),
            }
        )
        return Frame(Columns(table), size, span=(T0, T0))


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_a_phrase_over_templates_is_a_phrase_over_messages(data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4))
    rows = data.draw(st.lists(st.tuples(*[TEXT] * (len(pieces) - 1)).map(list), min_size=1, max_size=4))
    words = data.draw(st.lists(st.sampled_from(["a", "b", "ab", "aa", "1", "aab"]), min_size=1, max_size=3))
    frame = Template(pieces, rows)
    mask = prepare(f.Phrase("message", " ".join(words)))(frame)
    found = [mask] * len(rows) if isinstance(mask, bool) else mask.tolist()
    texts = ["".join(a + b for a, b in zip(pieces, [*row, ""], strict=True)) for row in rows]
    assert found == [has(text, words) for text in texts]


def test_what_a_template_tells() -> None:
    template = "status: <*> len: <*>"
    assert sure(template, ("status",))
    assert not sure(template, ("status", "len"))
    assert ways(template, ("status", "404"), (False, True)) == ((0,), False)
    assert ways(template, ("404", "len"), (True, False)) == ((0,), False)
    assert ways(template, ("404", "len", "7"), (True, False, True)) == ((), True)
    assert ways(template, ("elsewhere",), (False,)) == ((), False)
    assert ways("a<*>b", ("axb",), (True,)) == ((0,), False)


def filter_of(words: set[str], form: tuple[int, int]) -> bytes:
    import pyarrow as pa

    found = Words()
    take_words(found, pa.array(sorted(words), pa.string()))
    return make_filter(found, form)


@given(st.lists(st.text("abfgAF03_ -\n\u00e9\u0130\u2028", max_size=20), max_size=20))
@example(["0a1b 12ab abcd 1234 0a1g x_y"])
def test_words_are_the_same_wherever_they_are_cut(texts: list[str]) -> None:
    """The kernel's words are those of `distinct_words`, also in a slice of an array."""
    import pyarrow as pa

    found, told = Words(), Words()
    take_words(found, pa.array(["other", *texts], pa.string()).slice(1))
    words = {word for text in texts for word in distinct_words(text)}
    for word in words:
        told.add(crc32(word.encode()))
    assert len(found) == len(words)
    assert found.bloom(4096, 5) == told.bloom(4096, 5)


@given(st.sets(st.text("abcdefgh0123_", min_size=3, max_size=12), max_size=200))
def test_a_filter_forgets_no_word(words: set[str]) -> None:
    for form in (FEW, MANY):
        made = filter_of(words, form)
        assert all(may_have(made, sorted(words)))


def test_a_filter_rarely_takes_one_word_for_another() -> None:
    words = {f"word{number:05}" for number in range(5000)}
    others = [f"other{number:05}" for number in range(5000)]
    assert sum(may_have(filter_of(words, FEW), others)) < 200
    assert sum(may_have(filter_of(words, MANY), others)) < 40
    assert distinct_words("Größe 3af1 0a1b-xyz x") == {"grösse", "xyz"}


LINE = st.text(st.characters(exclude_characters="\ud800"), max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        LINE
        | st.builds(
            "2027-01-15 08:00:00.{:03} {} {} {} [{}] {}".format,
            st.integers(0, 999),
            st.integers(1, 99),
            st.sampled_from(["INFO", "WARN", "ERROR"]),
            st.sampled_from(["a.b", "{c}"]),
            st.sampled_from(["-", "req-1 u p - - -", "None req-2 - - - - d d"]),
            LINE,
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_line_comes_back_as_it_was(lines: list[str]) -> None:
    table = Taker().take([Write(0, [RawEvent(T0, (), line) for line in lines])]).sort_by("sequence")
    import numpy as np

    frame = Frame(Columns(table), len(lines), span=(T0, T0))
    assert [event.raw for event in frame.events(np.arange(len(lines)))] == lines


@given(st.integers(1, 1 << 62 - 1), st.sampled_from(sorted(shapes.TIMES)), st.integers(0, 9))
def test_a_time_is_shown_as_the_form_says(time_ns: int, form: str, digits: int) -> None:
    shown = shapes.time_text(time_ns, f"{form}.{digits}")
    derived = shapes.derive(f"<{shown}> hello", "hello", time_ns, {})
    assert derived is not None
    assert shapes.line(derived[0], {}, time_ns, "hello", derived[1]) == f"<{shown}> hello"


def test_tracebacks_lose_their_prefix_and_get_it_back() -> None:
    prefix = "2027-01-15 08:00:00.123 77 ERROR nova.api "
    text = f"{prefix}[req-1 u p - - -] boom\n{prefix}Traceback (most recent call last):\n{prefix}  File x\n{prefix}ValueError: y\n{prefix}\n"
    table = Taker().take([Write(0, [RawEvent(T0, (), text)])])
    assert table.column("tail").to_pylist() == [
        "\nTraceback (most recent call last):\n  File x\nValueError: y\n"
    ]
    import numpy as np

    frame = Frame(Columns(table), 1, span=(T0, T0))
    assert frame.events(np.arange(1))[0].raw == text
