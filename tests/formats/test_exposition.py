"""Prometheus' text and OpenMetrics: what exporters write is read, what is broken is refused with its line."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.metrics.formats.exposition import Seen, parse
from weatherglass.metrics.formats.taken import Family


def one(text: str, **more: bool) -> tuple[dict[str, str], float, int | None]:
    taken = parse(text, **more)
    assert len(taken.series) == 1
    return dict(taken.series[0]), taken.values[0], taken.times_ms[0]


@pytest.mark.parametrize(
    ("line", "labels", "value", "time"),
    [
        ("up 1", {"__name__": "up"}, 1.0, None),
        ("up{} 1", {"__name__": "up"}, 1.0, None),
        ("up\t1\t1500", {"__name__": "up"}, 1.0, 1500),
        ('a:b{x="y",} -2.5e3 -7', {"__name__": "a:b", "x": "y"}, -2500.0, -7),
        ('a { x = "y" , z="" } +Inf', {"__name__": "a", "x": "y"}, math.inf, None),
        (r'a{x="q\"\\\n}"} 1', {"__name__": "a", "x": 'q"\\\n}'}, 1.0, None),
        ('a{x="} 5"} 1', {"__name__": "a", "x": "} 5"}, 1.0, None),
        ('{"a.b","c d"="e"} 1', {"__name__": "a.b", "c d": "e"}, 1.0, None),
        ('{c="e","a.b"} 1', {"__name__": "a.b", "c": "e"}, 1.0, None),
        ("a 0x1p-2", {"__name__": "a"}, 0.25, None),
        ("a 1\r", {"__name__": "a"}, 1.0, None),
    ],
)
def test_a_sample(line: str, labels: dict[str, str], value: float, time: int | None) -> None:
    assert one(line + "\n") == (labels, value, time)


def test_nan_is_a_value() -> None:
    assert math.isnan(one("a NaN\n")[1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\n", "a value"),
        ("a 1 2 3\n", "a value"),
        ("1a 1\n", "does not begin"),
        ('a{x="y" 1\n', "comma or }"),
        ('a{x="y} 1\n', "does not end"),
        ('a{x="1",x="2"} 1\n', "given twice"),
        ("a 1_000\n", "not a number"),
        ("a １\n", "not a number"),
        ("a 1 1.5\n", "milliseconds"),
        ("{} 1\n", "no name"),
        ("# TYPE a nonsense\n", "no type"),
    ],
)
def test_what_is_broken_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as refused:
        parse("ok 1\n" + text)
    assert refused.value.where == "line 2"


def test_families() -> None:
    text = '# HELP a_seconds How\\nlong.\n# TYPE a_seconds untyped\n# TYPE "b.c" counter\n# nothing else\n#\na_seconds 1\n'
    assert parse(text).families == {
        "a_seconds": Family("unknown", "How\nlong.", ""),
        "b.c": Family("counter", "", ""),
    }


OPEN = """# TYPE http_seconds histogram
# UNIT http_seconds seconds
http_seconds_bucket{le="1"} 3 1.5 # {trace_id="ab # c"} 0.7 1.25
http_seconds_count 3
# EOF
"""


def test_openmetrics_counts_in_seconds_and_has_exemplars() -> None:
    taken = parse(OPEN, openmetrics=True)
    assert taken.families["http_seconds"] == Family("histogram", "", "seconds")
    assert taken.times_ms == [1500, None]
    exemplar = taken.exemplars[0]
    assert exemplar.labels == (("trace_id", "ab # c"),)
    assert (exemplar.value, exemplar.time_ms) == (0.7, 1250)
    assert dict(exemplar.series)["le"] == "1"


@pytest.mark.parametrize("text", ["a 1\n", "a 1\n\n# EOF\n", "# EOF\na 1\n"])
def test_openmetrics_is_strict_about_its_end(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text, openmetrics=True)


def test_the_samples_of_a_body_have_each_series_once() -> None:
    batch = parse("a 1 10\na 2 5\na 3 10\nb 4\n").samples(99)
    assert batch.times_ms == [[5, 10], [99]]
    assert batch.values == [[2.0, 3.0], [4.0]]


names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)


@given(
    st.dictionaries(
        names.filter(lambda name: name != "__name__"), st.text(min_size=1, max_size=8), max_size=4
    ),
    st.floats(allow_nan=False),
    st.none() | st.integers(-(2**53), 2**53),
)
def test_what_is_written_is_read(labels: dict[str, str], value: float, time: int | None) -> None:
    escaped = {
        name: text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        for name, text in labels.items()
    }
    inner = ",".join(f'{name}="{text}"' for name, text in escaped.items())
    line = f"m{{{inner}}} {value!r}" + (f" {time}" if time is not None else "")
    seen = Seen()
    for _ in range(2):  # the second time from memory
        taken = parse(line + "\n", seen=seen)
        assert dict(taken.series[0]) == {"__name__": "m", **labels}
        assert taken.values == [value]
        assert taken.times_ms == [time]


@given(st.text(alphabet=st.sampled_from('ab{}="\\,# \t\n1.eE+NTYPEOF_'), max_size=60), st.booleans())
def test_any_text_is_read_or_refused(text: str, openmetrics: bool) -> None:
    try:
        parse(text, openmetrics=openmetrics, seen=Seen())
    except Invalid:
        return
