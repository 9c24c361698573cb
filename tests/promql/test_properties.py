"""What holds for any text, any small data and any generated query."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from promql import world
from promql.campaign import mutated
from promql.compare import same, shape
from promql.queries import Queries
from promql.world import STALE, select_over
from weatherglass.base.errors import Invalid, LimitExceeded
from weatherglass.metrics.promql import AGGREGATORS, EXPERIMENTAL, FUNCTIONS, evaluate, parse
from weatherglass.metrics.types import Selection

ALPHABET = "xab01.5mh[](){}=!~<>+-*/^%@:,\"'`\\ \n#$é\x00"
NAMES = (
    "requests_total",
    "errors_total",
    "memory_bytes",
    "temperature",
    "up",
    "build_info",
    "lonely",
    "latency_bucket",
)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def generated(seed):
    return Queries(seed, 0, 600).one()


def refused_well(text):
    try:
        tree = parse(text, EXPERIMENTAL)
    except Invalid as error:
        line, _, column = error.where.partition(":")
        assert 1 <= int(line) <= text.count("\n") + 1 and int(column) >= 1
        return None
    assert 0 <= tree.start <= tree.end <= len(text)
    return tree


@patient
@given(
    st.text()
    | st.text(ALPHABET, max_size=60)
    | st.lists(
        st.sampled_from(
            [*FUNCTIONS, *AGGREGATORS, *"()[]{},:", "x", "1", "5m", '"s"', "by", "on", "@", "offset"]
        )
    ).map(" ".join)
)
def test_any_text_is_parsed_or_refused_with_a_position(text):
    refused_well(text)


@patient
@given(st.integers(0, 1 << 32), st.randoms(use_true_random=False))
def test_any_mutation_is_parsed_or_refused_with_a_position(seed, rng):
    refused_well(mutated(rng, generated(seed)))


@pytest.mark.parametrize(
    "shape",
    ["(", "-", "abs(", "sum by (a) (", "x ^ ", "x + (", "sum_over_time(x[5m:])[5m:] + ", "x[5m:", "{a=~'("],
)
def test_deep_nests_are_refused_not_a_crash(shape):
    with pytest.raises(Invalid):
        parse(shape * 20_000)


@pytest.mark.parametrize("link", ["+x", "+1", " or x", " == x", " and on() x"])
def test_long_chains_are_answered(link):
    select = select_over({(("__name__", "x"),): ([0], [1.0])})
    assert shape(evaluate(parse("x" + link * 4000), select, 0, 0, 1)).keys() <= {(), (("__name__", "x"),)}
    with pytest.raises(Invalid, match="operators in one chain"):
        parse("x" + link * 6000)


values = st.one_of(
    st.floats(),
    st.sampled_from((0.0, 1.0, -1.0, STALE, 1e308, -1e308, 5e-324)),
    st.integers(-8, 8).map(float),
)


@st.composite
def worlds(draw, values=values):
    """Any few series under the names that queries are generated over."""
    found = {}
    for _ in range(draw(st.integers(0, 6))):
        pairs = {"__name__": draw(st.sampled_from(NAMES))}
        for name in draw(st.sets(st.sampled_from(("job", "instance", "code", "le", "version")), max_size=3)):
            pairs[name] = draw(st.sampled_from(("api", "a:1", "200", "0.5", "+Inf", "1")))
        times = sorted(draw(st.sets(st.integers(-60, 660).map(lambda s: s * 1000 + 250), max_size=12)))
        found[tuple(sorted(pairs.items()))] = (times, [draw(values) for _ in times])
    return found


def asked(query, select, start, end, step):
    try:
        return evaluate(parse(query, EXPERIMENTAL), select, start, end, step)
    except (Invalid, LimitExceeded):
        return None


@patient
@given(worlds(), st.integers(0, 1 << 32))
def test_a_range_query_is_its_instants(data, seed):
    query, select = generated(seed), select_over(data)
    assume("@ start" not in query and "@ end" not in query)  # an instant has an end of its own
    ranged = asked(query, select, 0, 600_000, 150_000)
    instants = [asked(query, select, at, at, 1) for at in range(0, 600_001, 150_000)]
    if ranged is None:
        assert None in instants, query
        return
    assert None not in instants, query
    cells = {(labels, at): value for labels, row in shape(ranged).items() for at, value in row.items()}
    single = {
        (labels, at): value
        for one in instants
        for labels, row in shape(one).items()
        for at, value in row.items()
    }
    assert cells.keys() == single.keys(), query
    for key, value in cells.items():
        assert same(value, single[key]), (query, key)


@patient
@given(worlds(st.integers(0, 1000).map(float)))
def test_parts_add_up_to_the_whole(data):
    select = select_over(data)
    whole = shape(evaluate(parse("sum(memory_bytes)"), select, 0, 600_000, 60_000))
    parts = shape(
        evaluate(
            parse(
                'sum(sum(memory_bytes{job="api"}) or on(x) vector(0)) + sum(sum(memory_bytes{job!="api"}) or on(x) vector(0))'
            ),
            select,
            0,
            600_000,
            60_000,
        )
    )
    for at, value in whole.get((), {}).items():
        assert parts[()][at] == value


@patient
@given(worlds(st.integers(0, 1000).map(float)), st.sampled_from(("rate", "increase", "irate")))
def test_a_counters_rate_is_never_negative(data, function):
    found = evaluate(parse(f'{function}({{__name__=~".+"}}[3m])'), _unnamed(data), 0, 600_000, 30_000)
    assert (found.values[found.present] >= 0).all() and not np.isnan(found.values[found.present]).any()


def _unnamed(data):
    """The same samples under label sets that stay distinct without their names."""
    return select_over(
        {(*labels, ("was", str(i))): samples for i, (labels, samples) in enumerate(data.items())}
    )


@patient
@given(worlds(), st.integers(-300, 300), st.sampled_from(("", "[2m]")))
def test_offset_shifts(data, offset, window):
    select = select_over(data)
    name = "sum_over_time(memory_bytes{}{})" if window else "memory_bytes{}{}"
    moved = shape(evaluate(parse(name.format(window, f" offset {offset}")), select, 0, 600_000, 60_000))
    there = shape(
        evaluate(parse(name.format(window, "")), select, -offset * 1000, 600_000 - offset * 1000, 60_000)
    )
    assert moved.keys() == there.keys()
    for labels, cells in moved.items():
        back = {at - offset * 1000: value for at, value in cells.items()}
        assert back.keys() == there[labels].keys()
        assert all(same(value, there[labels][at]) for at, value in back.items())


def test_shared_and_own_instants_come_to_the_same():
    """Windows are searched once for series that share their instants; the answer must not know."""
    data = world.make(5)
    select = select_over(data)
    expr = parse("sum by (job) (rate(requests_total[2m])) or max_over_time(latency_bucket[1m])")
    start, end = world.START_S * 1000, (world.START_S + 3600) * 1000

    def copied(*asked):
        found = select(*asked)
        return Selection(found.labels, [t.copy() for t in found.times], [v.copy() for v in found.values])

    assert shape(evaluate(expr, select, start, end, 60_000)) == shape(
        evaluate(expr, copied, start, end, 60_000)
    )
