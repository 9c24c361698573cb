"""Patterns of tenants: RE2's syntax, matched whole, and no text that can hang the store."""

from __future__ import annotations

import time

import pytest

from weatherglass.base.errors import Invalid
from weatherglass.metrics.matching import accepts
from weatherglass.metrics.types import Matcher


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a.*b", "axb", True),
        ("a.*b", "xaxb", False),
        ("a.b", "a\nb", True),
        ("(?i)keystone", "KeyStone", True),
        (r"\pL+", "münchen", True),
        (r"a\z", "a", True),
        ("", "", True),
    ],
)
def test_a_pattern_is_read_as_prometheus_reads_it(pattern: str, text: str, expected: bool) -> None:
    assert accepts(Matcher("job", "=~", pattern))(text) is expected
    assert accepts(Matcher("job", "!~", pattern))(text) is not expected


def test_a_pattern_that_would_backtrack_for_ever_is_answered_at_once() -> None:
    began = time.process_time()
    assert not accepts(Matcher("job", "=~", "(a+)+$"))("a" * 4000 + "b")
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("pattern", ["a[", "(?<=a)b", r"\1", "a{1000000}", "x" * 10 + "(" * 200])
def test_a_pattern_that_re2_refuses_is_invalid_and_names_its_label(pattern: str) -> None:
    with pytest.raises(Invalid) as refused:
        accepts(Matcher("job", "=~", pattern))
    assert refused.value.where == "matcher of job"
    assert len(refused.value.message) < 400
