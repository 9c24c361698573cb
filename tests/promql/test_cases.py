"""Cases as data: texts and their trees or refusals; series, queries and what they come to."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from promql.compare import same, shape
from promql.world import STALE, select_over
from weatherglass.base.errors import Invalid, LimitExceeded
from weatherglass.metrics.promql import EXPERIMENTAL, evaluate, parse

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
