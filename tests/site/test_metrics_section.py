"""`metrics:` read: selectors, granularities, what is refused and where; and what the store is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.house.kept import kept_for
from weatherglass.metrics import Matcher, Policy, Rollup
from weatherglass.site import parse
from weatherglass.site.sections.metrics import parse_selector

DAY = 86_400_000


def read(text):
    return parse({"site.yaml": "site: here\nhosts:\n  ctl-1: {address: 10.0.0.1}\n" + text}, "site.yaml")


def test_what_is_declared_is_what_the_store_is_told():
    site = read(
        """
tenants: {genomics: {}}
metrics:
  retention: forever
  rollups:
    nodes:
      series: '{job="node", mode!~"irq|steal"}'
      keep: 30d
      every:
        5m: {methods: [mean, max, p95], keep: 1y}
        1h: [mean]
    theirs:
      series: app_requests_total
      tenant: genomics
"""
    )
    nodes = Policy(
        "nodes",
        (Matcher("job", "=", "node"), Matcher("mode", "!~", "irq|steal")),
        30 * DAY,
        (Rollup(300_000, ("mean", "max", "95pct"), 365 * DAY), Rollup(3_600_000, ("mean",), None)),
    )
    theirs = Policy("theirs", (Matcher("__name__", "=", "app_requests_total"),), 15 * DAY)
    assert kept_for(site, "genomics") == (nodes, theirs, Policy("", (), None))
    assert kept_for(site, "other") == (nodes, Policy("", (), None))
    assert kept_for(None, "other") == ()
    assert kept_for(read(""), "other") == (Policy("", (), 15 * DAY),)


REFUSED = {
    "takes every series": "series: '{a=~\"\"}'",
    "is no matcher": "series: '{a=b}'",
    "is missing": "keep: 3d",
    "not a regular expression": "series: '{a=~\"(\"}'",
    "is not a method": "series: m\n      every: {5m: {methods: [mode]}}",
    "all granularities meet": "series: m\n      keep: 10m\n      every: {5m: [mean], 1h: [mean]}",
    "stands twice": "series: m\n      every: {5m: [mean], 300s: [max]}",
    "there is no tenant": "series: m\n      tenant: nobody",
    "below a second": "series: m\n      every: {5ms: [mean]}",
}


@pytest.mark.parametrize(("told", "text"), REFUSED.items(), ids=REFUSED)
def test_what_is_wrong_is_told_with_its_place(told, text):
    with pytest.raises(Invalid) as caught:
        read(f"metrics:\n  rollups:\n    one:\n      {text}\n")
    problem = next(one for one in caught.value.problems if told in str(one))
    assert problem.where.startswith("site.yaml:")


@given(st.text(alphabet='ab=~!{}", \\(', max_size=20))
def test_any_selector_is_read_or_refused(text):
    try:
        found = parse_selector(text)
    except ValueError:
        return
    assert found and all(op in ("=", "!=", "=~", "!~") for _, op, _ in found)
