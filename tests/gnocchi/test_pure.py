"""The pure middle of Gnocchi's model: times, policies, filters, operations, line protocol, statsd, rules."""

from __future__ import annotations

import json
import time
from datetime import datetime

import numpy as np
import pytest
import voluptuous as v
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import WeatherglassError
from weatherglass.kernels import measures as kernel
from weatherglass.metrics.formats import influx
from weatherglass.metrics.gnocchi import measures, operations, policies, statsd, times
from weatherglass.metrics.gnocchi.errors import Bad
from weatherglass.metrics.gnocchi.evaluate import Grid, evaluate
from weatherglass.metrics.gnocchi.filters import checked, parsed
from weatherglass.metrics.gnocchi.predicates import predicate
from weatherglass.metrics.gnocchi.rules import Caller

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1 minute", 60), ("1 hour 30 minutes", 5400), ("-5 minutes", -300), ("0:01:30", 90), ("10s", 10),
        ("1.5 h", 5400), ("2 days, 1 hour", 176400), (3.6, 3.6), ("42", 42), ("-1 day", -86400),
    ],
)  # fmt: skip
def test_spans(text, seconds):
    assert times.span(text, positive=False) == round(seconds * SECOND)


@pytest.mark.parametrize("text", ["", "1 shenanigan", None, "nan", "1e400", "minute", "1 s 1 h", [], {}])
def test_no_spans(text):
    with pytest.raises(ValueError, match="timespan"):
        times.span(text)


def test_instants_of_one_form():
    assert times.instants(["2015-03-06T14:33:57", "2015-03-06 14:34:12.5"], 0).tolist() == [
        1425652437 * SECOND,
        1425652452 * SECOND + SECOND // 2,
    ]
    assert times.instants([1478012832, 1.5], 0).tolist() == [1478012832 * SECOND, 3 * SECOND // 2]
    assert times.instants(["-5 minutes"], 1000 * SECOND).tolist() == [700 * SECOND]
    for wrong in (["2015-01-01", 3], [-1], ["1969-12-31"], [None], [{}], [1e300]):
        with pytest.raises(ValueError, match="imestamp"):
            times.instants(wrong, 0)


def test_methods_by_signs():
    assert policies.resolved([]) == policies.resolved(["+mean"]) == set(policies.DEFAULT_METHODS)
    assert policies.resolved(["-mean", "+95pct"]) == set(policies.DEFAULT_METHODS) - {"mean"} | {"95pct"}
    assert len(policies.resolved(["*"])) == 216
    assert policies.resolved(["last", "+first"]) == {"last", "first"}


def test_the_first_rule_that_fits_counts():
    rules = [
        policies.Rule("a", "*", "low"),
        policies.Rule("b", "cpu.*", "high"),
        policies.Rule("0", "cpu.*", "best"),
    ]
    assert policies.match(rules, "cpu.util") == "best"
    assert policies.match(rules, "disk") == "low"
    assert policies.match(rules[1:], None) is None


# --- measures --------------------------------------------------------------------------------------------

stamp = st.one_of(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 1, 1)).map(datetime.isoformat),
    st.integers(0, 4_000_000_000),
)
number = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**25), 10**25))


@given(
    st.dictionaries(
        st.uuids().map(str), st.lists(st.tuples(stamp, number), max_size=6), min_size=1, max_size=4
    ),
    st.booleans(),
)
def test_the_compiled_walk_reads_what_the_patient_one_reads(body, spaced):
    text = json.dumps(
        {key: [{"timestamp": t, "value": value} for t, value in points] for key, points in body.items()},
        separators=None if spaced else (",", ":"),
    )
    found = kernel.decode(text.encode())
    assert found is not None
    lists = list(json.loads(text).values())
    try:
        slow = measures.columns(lists, 0)
    except Bad:
        return  # one list of several forms: the walk takes each as it is
    assert found[0] == list(body)
    assert found[1].tolist() == list(slow.counts)
    assert found[2].tolist() == slow.times_ms.tolist()
    np.testing.assert_array_equal(found[3], slow.values)


PLAIN = b'{"a": [{"timestamp": "2026-01-01T00:00:00.5Z", "value": 1.5e-3}, {"value": 2, "timestamp": 3}]}'


@given(st.integers(0, len(PLAIN)), st.binary(max_size=4), st.integers(0, 4))
def test_the_compiled_walk_survives_anything(at, inserted, cut):
    body = PLAIN[:at] + inserted + PLAIN[at + cut :]
    found = kernel.decode(body)
    if found is None:
        return
    patient = json.loads(body)  # whatever the walk takes is JSON, and says the same
    assert found[0] == list(patient)
    assert found[3].tolist() == [one["value"] for points in patient.values() for one in points]


@given(st.binary(max_size=60))
def test_the_compiled_walk_survives_noise(body):
    assert kernel.decode(body) is None


def test_errors_name_the_list_that_is_wrong():
    with pytest.raises(Bad) as raised:
        measures.columns(
            [[{"timestamp": 1, "value": 1}], [{"timestamp": 1, "value": "x"}]], 0, [("a",), ("b",)]
        )
    assert raised.value.said["detail"] == ["b"]
    assert raised.value.said["reason"].startswith("unexpected measures value")


# --- languages -------------------------------------------------------------------------------------------


def test_both_syntaxes_say_the_same():
    text = """a = "x y" and (b > 3 or not c like 'y%') and d in [1, "two", null] and e != None"""
    tree = {
        "and": [
            {"=": {"a": "x y"}},
            {"or": [{">": {"b": 3.0}}, {"not": {"like": {"c": "y%"}}}]},
            {"in": {"d": [1.0, "two", None]}},
            {"!=": {"e": None}},
        ]
    }
    assert parsed(text, "me") == checked(tree, "me") == tree


def test_ids_are_made_uuids():
    assert parsed("id = foo", "me") == checked({"=": {"id": "foo"}}, "me")
    assert parsed("id = foo", "me") != parsed("id = foo", "you")


@given(st.text(alphabet="ab=<>!()[]\"' 1.,notandrilke", max_size=40))
def test_filters_of_any_text(text):
    try:
        tree = parsed(text, "me")
    except Bad:
        return
    assert checked(tree, "me") == tree or "id" in text


@given(st.text(alphabet="()metric an+-/1 \"'", max_size=60))
def test_operations_of_any_text(text):
    try:
        operations.references(operations.checked(text))
    except (Bad, v.Invalid):
        return


GRID = Grid(60 * SECOND, np.arange(4) * 60 * SECOND, np.array([[1.0, 4], [2, np.nan], [3, 6], [8, 7]]))
KEYS = [("a", "mean"), ("b", "mean")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(metric a mean)", [[1], [2], [3], [8]]),
        ("(aggregate max (metric (a mean) (b mean)))", [[4], [2], [6], [8]]),
        ("(aggregate rate:sum (metric (a mean) (b mean)))", [[-3], [7], [6]]),
        ("(+ (metric a mean) 1)", [[2], [3], [4], [9]]),
        ("(rateofchangesec (metric a mean))", [[np.nan], [1 / 60], [1 / 60], [5 / 60]]),
        ("(rolling mean 2 (metric a mean))", [[1.5], [2.5], [5.5]]),
        ("(resample max 120 (metric a mean))", [[2], [8]]),
        ("(clip (metric a mean) 2 3)", [[2], [2], [3], [3]]),
        ("(abs (neg (metric a mean)))", [[1], [2], [3], [8]]),
    ],
)
def test_operations(text, expected):
    np.testing.assert_allclose(evaluate(operations.checked(text), GRID, KEYS).values, expected)


def test_what_aodh_appends_is_one_list():
    tree = ["aggregate", "mean", ["metric", "a", "mean"], ["metric", "b", "mean"]]
    assert operations.checked(tree) == ["aggregate", "mean", ["metric", ["a", "mean"], ["b", "mean"]]]


def test_predicates():
    assert predicate({">=": [{"+": 23}, 50]})(27)
    assert not predicate({"and": [{">": 3}, {"<": 5}]})(7)
    assert predicate({"or": [{"eq": 1}, {"/": 0}]})(1)
    with pytest.raises(Bad):
        predicate({"?": 1})


def test_lines_of_influx():
    line = influx.parse(r'cpu\ x,host=a\,b,k="v w" f=1.5,n=3i,t="a b",ok=true 17')
    assert line == influx.Line("cpu x", {"host": "a,b", "k": "v w"}, {"f": 1.5, "n": 3.0, "ok": 1.0}, 17)
    for wrong in ("", "cpu", "cpu f", "cpu,host f=1", "cpu f=x", "cpu f=1 x", "cpu f=1 1 1"):
        with pytest.raises(ValueError, match=r"."):
            influx.parse(wrong)
    assert influx.database('create database "my db"; ') == "my db"
    assert influx.database("drop database x") is None


@given(st.text(alphabet='abc,= "\\1i.\n', max_size=60))
def test_any_line(text):
    try:
        influx.parse(text)
    except ValueError:
        return


@pytest.mark.parametrize(
    "hostile",
    [
        lambda: times.span("1w" + " " * 100_000 + "!"),
        lambda: times.span("1 w" * 100_000),
        lambda: influx.parse("m" + ',"a"="a"' * 5000 + "!"),
        lambda: influx.parse("m f=1" + ",f=1" * 5000 + "!"),
        lambda: parsed("(" * 5000, "me"),
        lambda: parsed("not " * 5000 + "a=1", "me"),
        lambda: operations.read("(" * 5000),
        lambda: predicate(json.loads('{"and":[' * 300 + "]}" * 300)),
        lambda: checked(json.loads('{"not":' * 300 + "{}" + "}" * 300), "me"),
    ],
)
def test_hostile_texts_are_refused_at_once(hostile):
    began = time.process_time()
    with pytest.raises((ValueError, Bad)):
        hostile()
    assert time.process_time() - began < 1.0


# --- statsd ----------------------------------------------------------------------------------------------


def test_a_tally():
    tally = statsd.Tally()
    readings, wrong = statsd.parse(
        b"hits:1|c\nhits:2|c|@0.5\nt:3|ms\nt:4|ms\ng:7|g\ng:-2|g\nset:1|s\nbad\nt:1|ms|@0.1\n"
    )
    assert wrong == 3
    for reading in readings:
        tally.add(reading, 1000)
    assert tally.drain() == {
        "hits|c": [(1000, 5.0)],
        "t|ms": [(1000, 3.0), (1000, 4.0)],
        "g|g": [(1000, 5.0)],
    }
    assert tally.drain() == {}


@given(st.binary(max_size=100))
def test_any_datagram(datagram):
    readings, wrong = statsd.parse(datagram)
    assert wrong >= 0
    assert all(reading.kind in ("c", "g", "ms") for reading in readings)


# --- rules -----------------------------------------------------------------------------------------------


def test_who_may():
    def who(*roles, project="p"):
        return Caller(f"u:{project}", frozenset(roles), "t", "u", project, scoped=True)

    theirs = {"creator": "u:p", "created_by_project_id": "p", "project_id": "q"}
    assert who("admin", project="z").may("delete resource", theirs)
    assert who(project="p").may("delete resource", theirs)
    assert not who(project="q").may("delete resource", theirs)
    assert who(project="q").may("get resource", theirs)
    assert not who(project="z").may("get resource", theirs)
    assert who("service", project="z").may("post measures", theirs)
    assert not who(project="").may("get metric", {"resource": {"project_id": None}})
    with pytest.raises(WeatherglassError):
        who().enforce("create archive policy", {})
