"""Words: where a term occurs, against a regular expression; and filters that never hide what is there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.logs.terms import has_all, has_term, long_words, make_filter, may_have, terms_of, which_have

SMALL = st.text(alphabet="aAbß_-. 1İΣς", max_size=12)


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("", ()),
        ("Timed out", ("timed", "out")),
        ('"timed out" db', ("timed out", "db")),
        ('a a A "a"', ("a",)),
        ('"not closed', ("not closed",)),
        ('"" "  " x', ("x",)),
        ("req-1f2e", ("req-1f2e",)),
    ],
)
def test_terms(query: str, terms: tuple[str, ...]) -> None:
    assert terms_of(query) == terms


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("Connection refused", "connection", True),
        ("Connections refused", "connection", False),
        ("reconnection", "connection", False),
        ("[req-1f2e-77]", "req-1f2e", True),
        ("keystone.common.sql", "keystone.common", True),
        ("keystone_common", "keystone", False),
        ("aaab aab", "aab", True),
        ("STRASSE", "straße", True),
        ("a -b", '"-b"', True),
        ("timed  out", '"timed out"', False),
        ('(2003, "Can\'t connect")', "can't connect", True),
    ],
)
def test_has_all(text: str, query: str, found: bool) -> None:
    assert has_all(text, terms_of(query)) is found


@given(SMALL, SMALL.filter(bool))
def test_a_term_is_found_where_a_regular_expression_finds_it(text: str, term: str) -> None:
    text, term = text.casefold(), term.casefold()
    left = r"(?<!\w)" if re.match(r"\w", term) else ""
    right = r"(?!\w)" if re.search(r"\w$", term) else ""
    assert has_term(text, term) == bool(re.search(left + re.escape(term) + right, text))


@given(st.lists(st.text(alphabet="aAb_- 1\n", max_size=9) | SMALL, max_size=8), st.lists(SMALL, max_size=3))
def test_many_texts_at_once_are_as_one_by_one(texts: list[str], words: list[str]) -> None:
    terms = [word.casefold() for word in words if word]
    want = [number for number, text in enumerate(texts) if has_all(text, terms)]
    assert which_have(texts, terms) == want


@given(st.lists(st.text(alphabet="abcdefgß_-. ", max_size=40), max_size=20), st.data())
def test_a_filter_never_hides_what_is_there(texts: list[str], data: st.DataObject) -> None:
    made = make_filter(long_words("\n".join(texts).casefold()))
    text = data.draw(st.sampled_from([*texts, "nothing"]))
    query = data.draw(st.sampled_from([text, f'"{text[3:20]}"', "abcdef", text[:9]]))
    terms = terms_of(query.replace("\n", " "))
    if any(has_all(one, terms) for one in texts):
        assert may_have(made, terms)


def test_a_filter_tells_nearly_always_what_is_not_there() -> None:
    made = make_filter({f"word{number}" for number in range(5000)})
    read_in_vain = sum(may_have(made, (f"other{number}",)) for number in range(2000))
    assert len(made) * 8 / 5000 < 6.1
    assert read_in_vain / 2000 < 0.08
