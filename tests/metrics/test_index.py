"""The inverted index against a scan, and label sets against Prometheus' rules."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.metrics import Matcher
from weatherglass.metrics.index import Index, canonical_key

NAMES, VALUES = (
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["x", "y", "xy", "new\nline", "é", "a.b", "a.bc", "acb"]),
)
SETS = st.lists(st.dictionaries(NAMES, VALUES), max_size=12)
ENGINE = [
    "(x|y)+",
    "new.line",
    "[^x]",
    "xy?",
    "xy*",
    "xy{0}",
    "x+",
    "a.b",
    r"x\|y",
    "(?i)X.*",
    "x.*y",
    "(a|x).*",
]
SIMPLE = ["x|y", "", "x.*", ".+", ".*", "é", "x|", "(x|y)", "(?:x|y)", ".*y", ".+y", "x.+", ".*e.*", ".+y.*"]
ESCAPED = [r"a\.b", r"a\.b.*", r".*\.b", r"a\.b|x"]
REGEX = st.sampled_from([*ENGINE, *SIMPLE, *ESCAPED])
MATCHERS = st.lists(
    st.one_of(
        st.builds(Matcher, NAMES, st.sampled_from(["=", "!="]), st.one_of(VALUES, st.just(""))),
        st.builds(Matcher, NAMES, st.sampled_from(["=~", "!~"]), REGEX),
    ),
    min_size=1,
    max_size=4,
)


def passes(matcher, labels):
    value = labels.get(matcher.name, "")
    if matcher.op in ("=", "!="):
        return (value == matcher.value) == (matcher.op == "=")
    return (re.fullmatch(matcher.value, value, re.DOTALL) is not None) == (matcher.op == "=~")


@settings(max_examples=400, deadline=None)
@given(SETS, MATCHERS, st.randoms())
def test_select_is_a_scan(sets, matchers, chance):
    index, numbers = Index(), []
    for labels in sets:
        labels["__name__"] = f"m{len(numbers)}"
        numbers.append(index.know(canonical_key(tuple(sorted(labels.items())))))
    order = list(numbers)
    chance.shuffle(order)
    index.publish(order)
    expected = [
        n for n, labels in zip(numbers, sets, strict=True) if all(passes(m, labels) for m in matchers)
    ]
    assert index.select(matchers).tolist() == expected
    assert [dict(index.labels(number)) for number in numbers] == sets


def test_what_is_not_published_is_not_found():
    index = Index()
    index.know(canonical_key((("__name__", "m"),)))
    assert index.select([Matcher("__name__", "=", "m")]).tolist() == []
    assert index.names() == [] and index.values("__name__") == []


def test_a_regex_that_does_not_compile_is_invalid():
    with pytest.raises(Invalid, match="not a regular expression"):
        Index().select([Matcher("a", "=~", "(")])
    with pytest.raises(Invalid):
        Matcher("a", "~", "x")
