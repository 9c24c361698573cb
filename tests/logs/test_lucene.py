"""The language: how it is read, the real queries, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.base.time import SECOND_NS
from weatherglass.logs import filter as f
from weatherglass.logs.lucene import parse
from weatherglass.logs.lucene.dates import instant

NOW = 1_800_000_000 * SECOND_NS  # 2027-01-15 08:00
REAL = Path(__file__).parents[3] / "shared" / "data" / "openstack-queries" / "queries.json"


def p(text: str, field: str = "") -> f.Phrase:
    return f.Phrase(field, text)


CASES = {
    "a b": f.Or((p("a"), p("b"))),
    "a AND b OR c": f.Or((f.And((p("a"), p("b"))), p("c"))),
    "a && !b": f.And((p("a"), f.Not(p("b")))),
    "a || b": f.Or((p("a"), p("b"))),
    "NOT a": f.Not(p("a")),
    "+a -b c": f.And((p("a"), f.Not(p("b")))),
    "a -b": f.And((p("a"), f.Not(p("b")))),
    '"a b"~3': f.Phrase("", "a b", 3),
    "level:ERROR": p("ERROR", "level"),
    'message:(+"a b" +c)': f.And((p("a b", "message"), p("c", "message"))),
    "f:(a OR b) AND c": f.And((f.Or((p("a", "f"), p("b", "f"))), p("c"))),
    "f:[1 TO 5}": f.Range("f", gte=1, lt=5),
    "f:{a TO *}": f.Range("f", gt="a"),
    'f:["2026-01-01" TO "x"]': f.Range("f", gte="2026-01-01", lte="x"),
    "f:>=5": f.Range("f", gte=5),
    "f:<0.5": f.Range("f", lt=0.5),
    "f:*": f.Exists("f"),
    "*": f.All(),
    "*:*": f.All(),
    "": f.All(),
    "_exists_:a.b": f.Exists("a.b"),
    "!_exists_:x AND y:1": f.And((f.Not(f.Exists("x")), p("1", "y"))),
    "filename:logs*screen?.txt": f.Wildcard("filename", "logs*screen?.txt"),
    "f:/jo.n\\/x/": f.Regexp("f", "jo.n/x"),
    "roam~": f.Fuzzy("", "roam", 1),
    "roaming~1": f.Fuzzy("", "roaming", 1),
    "a^2 AND b^0.5": f.And((p("a"), p("b"))),
    "foo\\:bar": p("foo:bar"),
    'f:"a \\"b\\" c"': p('a "b" c', "f"),
    "path:/var/log/x": p("/var/log/x", "path"),
    "x.keyword:y": f.Term("x.keyword", "y"),
    "@timestamp:[now-1h TO now]": f.Range("@timestamp", gte=NOW - 3600 * SECOND_NS, lte=NOW),
    "req-1-2": p("req-1-2"),
    "ANDROID": p("ANDROID"),
}


@pytest.mark.parametrize("text", CASES)
def test_how_it_is_read(text: str) -> None:
    assert parse(text, now_ns=NOW) == CASES[text]


def test_the_default_operator_and_fields() -> None:
    assert parse("a b", "m", operator="AND") == f.And((p("a", "m"), p("b", "m")))
    assert parse("a", ("m", "n")) == f.Or((p("a", "m"), p("a", "n")))


@pytest.mark.parametrize(
    "text", ["(a", "a)", "f:", "a AND", '"a', "f:[1 TO", "AND", "f:(", "a OR OR b", "_exists_:("]
)
def test_what_is_refused_says_where(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse(text)
    assert refusal.value.where.startswith("query:")


def test_groups_within_groups_have_a_bound() -> None:
    with pytest.raises(Invalid, match="groups"):
        parse("(" * 500 + "a" + ")" * 500)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from('a "()[]{}:~^*?\\/&|!+-ANDORTO<>=1. '), max_size=40).map("".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, now_ns=NOW)
    except Invalid as refusal:
        assert refusal.message


@pytest.mark.parametrize(
    ("text", "up", "seconds"),
    [
        ("now", False, 0),
        ("now-15m", False, -900),
        ("now/d", False, -8 * 3600),
        ("now+1M/M", False, 17 * 86_400 - 8 * 3600),
        ("2027-01-15T08:00:00Z", False, 0),
        ("2027-01-15T09:00:00+01:00", False, 0),
        ("2027-01-15||-1d", False, -8 * 3600 - 86_400),
        ("1800000000000", False, 0),
    ],
)
def test_instants(text: str, up: bool, seconds: int) -> None:
    assert instant(text, NOW, up=up) == NOW + seconds * SECOND_NS


def test_an_instant_that_is_not_told_to_the_end_is_all_of_it() -> None:
    first, last = instant("2027-01", NOW), instant("2027-01", NOW, up=True)
    assert (last - first + 1) // SECOND_NS == 31 * 86_400
    assert instant("2027-01-15", NOW, "Europe/Berlin") == instant("2027-01-14T23:00Z", NOW)
    with pytest.raises(Invalid):
        instant("yesterday", NOW)
    with pytest.raises(Invalid):
        instant("2027-13-45", NOW)


def real_queries() -> dict[str, str]:
    import yaml

    return {name: yaml.safe_load(text)["query"] for name, text in json.loads(REAL.read_text()).items()}


@pytest.mark.skipif(not REAL.exists(), reason=f"no {REAL}")
def test_every_real_query_is_read() -> None:
    queries = real_queries()
    assert len(queries) == 308
    for text in queries.values():
        assert not isinstance(parse(text, "message"), f.All)
