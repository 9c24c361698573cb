"""Cases as data: texts and their trees or refusals; series, queries and what they come to."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from promql.compare import same, shape
from promql.world import STALE, select_over
from weatherglass.base.errors import Invalid, LimitExceeded
from weatherglass.metrics.promql import EXPERIMENTAL, Options, Query, TimedOut, evaluate, parse
from weatherglass.metrics.promql.printer import Printer

CASES = Path(__file__).parent / "cases"


def load(path):
    return yaml.safe_load((CASES / path).read_text())


@pytest.mark.parametrize("case", load("parse/refused.yaml"), ids=lambda case: case["query"][:30])
def test_refused(case):
    with pytest.raises(Invalid) as told:
        parse(case["query"], EXPERIMENTAL)
    assert told.value.where == case["where"], str(told.value)
    assert case["message"] in told.value.message
    assert case.get("mend", "") in told.value.mend


def at_path(node, path):
    for step in path.split("."):
        node = node[int(step)] if step.isdigit() else getattr(node, step)
    return list(node) if isinstance(node, tuple) else node


@pytest.mark.parametrize("case", load("parse/trees.yaml"), ids=lambda case: case["query"][:30])
def test_tree(case):
    tree = parse(case["query"], EXPERIMENTAL)
    assert type(tree).__name__ == case["node"]
    assert {path: at_path(tree, path) for path in case["facts"]} == case["facts"]
    assert 0 <= tree.start < tree.end <= len(case["query"])


def labels_of(text):
    """`name{a="b"}` as a label set."""
    if text == "{}":
        return ()
    # Names beyond ASCII are written bare in the cases, for people's sake.
    name, brace, rest = text.partition("{")
    text = f'{{"{name}"' + (f", {rest}" if brace else "}") if not name.isascii() else text
    return tuple(sorted((m.name, m.value) for m in parse(text).matchers))


def samples_of(text, step_s):
    """`1 2 _ stale 0+5x3`: one sample a step; `_` is none, `a+bxn` counts on n times."""
    times, values, at = [], [], 0
    for word in str(text).split():
        start, _, rest = word.partition("x")
        if rest:
            first, by = (float(part) for part in start.split("+"))
            run = [first + by * k for k in range(int(rest) + 1)]
        else:
            run = [{"_": None, "stale": STALE}.get(word, word)]
        for value in run:
            if value is not None:
                times.append(at * 1000)
                values.append(float(value))
            at += step_s
    return times, values


def scripts():
    for path in sorted((CASES / "evaluate").glob("*.yaml")):
        script = load(path)
        select = select_over(
            {labels_of(name): samples_of(text, script["step"]) for name, text in script["series"].items()}
        )
        for case in script["cases"]:
            span = case.get("at", case.get("from")), case.get("at", case.get("to")), case.get("every", 1)
            yield pytest.param(select, case, span, id=f"{path.stem}: {case['query'][:40]}")


@pytest.mark.parametrize(("select", "case", "span"), list(scripts()))
def test_evaluated(select, case, span):
    start, end, step = (round(one * 1000) for one in span)
    if "fails" in case:
        with pytest.raises((Invalid, LimitExceeded)) as told:
            evaluate(parse(case["query"], EXPERIMENTAL), select, start, end, step)
        assert case["fails"] in told.value.message
        return
    found = evaluate(parse(case["query"], EXPERIMENTAL), select, start, end, step)
    assert found.warnings == case.get("warnings", [])
    assert "infos" not in case or found.infos == case["infos"]
    if "scalar" in case:
        assert found.type == "scalar" and same(float(found.values[0, 0]), float(case["scalar"]))
        return
    expected = {labels_of(name): row(text) for name, text in case["expect"].items()}
    got = {labels: list(cells.values()) for labels, cells in shape(found).items()}
    if start != end:
        got = {
            labels: [cells.get(at, "_") for at in found.times_ms.tolist()]
            for labels, cells in shape(found).items()
        }
    assert got.keys() == expected.keys()
    for labels, cells in expected.items():
        assert len(got[labels]) == len(cells)
        for mine, wanted in zip(got[labels], cells, strict=True):
            assert mine == wanted or same(mine, wanted), (labels, got[labels], cells)
    if case.get("ordered"):
        assert list(got) == list(expected)


def row(text):
    return ["_" if word == "_" else float(word) for word in str(text).replace(".nan", "nan").split()]


def test_a_range_vector_comes_as_its_samples():
    select = select_over({(("__name__", "x"),): ([1000, 2500], [1.0, math.nan])})
    found = evaluate(parse("x[5s]"), select, 3000, 3000, 1)
    assert found.type == "matrix" and found.times_ms.tolist() == [1000, 2500] and found.present.all()
    assert np.isnan(found.values[0, 1])


def test_a_string_comes_as_it_is():
    found = evaluate(parse("'à la carte'"), select_over({}), 0, 0, 1)
    assert (found.type, found.text) == ("string", "à la carte")


@pytest.mark.parametrize(
    "query",
    [
        "mad_over_time(x[5m])", "limitk(1, x)", "x[5m*2]", "x offset (1m)", "x[step()]", "rate(x[5m] anchored)", "x smoothed",
        "info(x)", "x + fill(0) y", "x </ 5", "sort_by_label(x, 'a')", "start()", "first_over_time(x[5m])",
    ],
)  # fmt: skip
def test_what_is_experimental_is_refused_unless_asked_for(query):
    parse(query, EXPERIMENTAL)
    with pytest.raises(Invalid, match="enabled"):
        parse(query)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("rate(a_total[5m])", [""]), ("sum by (__name__) (rate({__name__=~'.+'}[5m]))", ["a_total", "b_total"]),
        ("label_replace(-{__name__=~'.+'}, 'old', '$1', '__name__', '(.*)')", ["", ""]),
        ("label_replace(-a_total, '__name__', 'new', '', '')", ["new"]), ("a_total > 1", ["a_total"]), ("a_total + a_total", [""]),
        ("last_over_time(rate(a_total[5m])[5m:1m])", [""]), ("max_over_time(a_total[5m]) or b_total", ["", "b_total"]),
    ],
)  # fmt: skip
def test_names_are_dropped_at_the_end_where_that_is_asked_for(query, names):
    select = select_over(
        {
            (("__name__", name), ("k", name)): ([0, 60_000, 120_000], [1.0, 2.0, 3.0])
            for name in ("a_total", "b_total")
        }
    )
    options = replace(EXPERIMENTAL, delayed_names=True)
    found = evaluate(parse(query, options), select, 150_000, 150_000, 1, options)
    assert sorted(dict(one).get("__name__", "") for one in found.series) == names


def test_a_query_that_takes_too_long_ends():
    select = select_over({(("__name__", "x"),): ([0], [1.0])})
    options = Options(timeout_s=1e-9)
    with pytest.raises(TimedOut, match="query timed out"):
        evaluate(parse("x + x"), select, 0, 0, 1, options)


def test_what_a_query_took_is_told_node_by_node():
    select = select_over({(("__name__", "x"),): ([0, 15_000], [1.0, 2.0])})
    options = Options(trace=True)
    query = Query(15_000, 15_000, 1, options)
    evaluate(parse("sum(rate(x[1m])) + 1"), select, 15_000, 15_000, 1, options, query)
    [top] = [one.as_dict() for one in query.trace.roots]
    rate = top["inner"][0]["inner"][0]
    assert (rate["expr"], rate["series"], rate["inner"][0]["samples"]) == ("rate(x[1m])", 1, 2)
    assert query.trace.samples == 2


LONG = 'sum by (instance) (rate(http_requests_total{job="a long name of a job"}[5m])) / on (instance) group_left (zone) info_metric > 0.5'


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("sum(rate(x{a='b',c!~\"d\"}[5m]))by(a)", 'sum by (a) (rate(x{a="b",c!~"d"}[5m]))'),
        ("(a+b)*c", "(a + b) * c"), ("-(a)", "-(a)"), ("x[90m:] offset 1d @ 5", "x[1h30m:] @ 5.000 offset 1d"),
        ("{'my.metric','a b'=\"c\"}", '{"my.metric","a b"="c"}'), ("topk without(a)(5,x)", "topk without (a) (5, x)"),
        ("a==bool on(x)group_left(y)b", "a == bool on (x) group_left (y) b"), ("x[5m*2]", "x[10m]"), ("x[step()+1m]", "x[(step() + 1m)]"),
        (LONG, '    sum by (instance) (rate(http_requests_total{job="a long name of a job"}[5m]))\n  / on (instance) group_left (zone)\n    info_metric\n>\n  0.5'),
    ],
)  # fmt: skip
def test_laid_out(query, text):
    tree = parse(query, EXPERIMENTAL)
    assert Printer(query).pretty(tree) == text
    assert Printer(text).line(parse(text, EXPERIMENTAL)) == Printer(query).line(tree)
