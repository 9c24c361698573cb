"""The Prometheus text format: what is of it, what is not, and a stranger's bytes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.test_probes import free_address, http_server
from weatherglass.agent.exposition import parse
from weatherglass.agent.scrape import Scraper, Target, scrape, url_of
from weatherglass.base.errors import Invalid

GOOD = [
    ("up 1", ("up", {}, 1.0)),
    ('http_requests_total{method="post",code="200"} 1027 1395066363000', ("http_requests_total", {"method": "post", "code": "200"}, 1027.0)),
    (r'm{path="C:\\DIR\\",error="a\n\"b\""} 1.5e3', ("m", {"path": "C:\\DIR\\", "error": 'a\n"b"'}, 1500.0)),
    ("m  -Inf", ("m", {}, -math.inf)),
    ("m{} +Inf", ("m", {}, math.inf)),
    ('m{a="}",} .5', ("m", {"a": "}"}, 0.5)),
    ('m { a = "x" , b = "" }	3', ("m", {"a": "x", "b": ""}, 3.0)),
    ('m_bucket{le="0.1"} 8 # {trace="x"} 0.05 1.0', ("m_bucket", {"le": "0.1"}, 8.0)),
    ('m{a="größe"} 1\r', ("m", {"a": "größe"}, 1.0)),
]  # fmt: skip
BAD = [
    '{a="b"} 1',
    "m",
    "m x",
    'm{a="b} 1',
    "m{a=b} 1",
    'm{a="b" c="d"} 1',
    'm{a="b"',
    'm{a="1",a="2"} 1',
    "1m 2",
]
BAD += ["m 1 2 3", "m 1_0", "m 0x10", 'm{,a="b"} 1', "m 1 then"]


@pytest.mark.parametrize("line, wanted", GOOD)
def test_what_is_of_the_format(line, wanted):
    ((name, labels, value),) = parse(f"# HELP m help\n# TYPE m gauge\n\n{line}\n# EOF\n")
    assert (name, dict(labels), value) == wanted


@pytest.mark.parametrize("line", BAD)
def test_what_is_not_is_refused_with_its_line(line):
    with pytest.raises(Invalid) as refused:
        list(parse(f"up 1\n{line}\n"))
    assert refused.value.where == "line 2"


def test_nan():
    ((_, _, value),) = parse("m NaN")
    assert math.isnan(value)


@given(st.one_of(st.text(max_size=200), st.text(alphabet='m{}="\\,. 1e+-#NaInf\n\t', max_size=80)))
def test_any_text_is_parsed_or_refused(text):
    try:
        found = list(parse(text))
    except Invalid:
        return
    for name, labels, value in found:
        assert name
        assert len(dict(labels)) == len(labels)
        assert isinstance(value, float)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]\w{0,5}", fullmatch=True).filter(str.isascii),
        st.text(max_size=20).filter(lambda t: "\r" not in t),
    )
)
def test_label_values_come_back_as_they_were(labels):
    def escaped(text):
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

    line = "m{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "} 1"
    ((_, told, _),) = parse(line)
    assert dict(told) == labels


def test_long_hostile_lines_take_no_long_time():
    for line in ('m{a="' + "\\" * 200_000, "m{" + 'a="b",' * 50_000, "m" + " " * 300_000 + "x"):
        with pytest.raises(Invalid):
            list(parse(line))


def samples_of(target):
    return {(s.name, s.labels): s.value for s in scrape(target)}


def test_an_endpoint_is_scraped_with_its_labels():
    with http_server(lambda *_: (200, {}, b'jobs{service="own"} 3\n')) as url:
        target = Target(f"{url}/metrics", (("service", "batch"),))
        told = samples_of(target)
    own = (("service", "batch"), ("instance", target.instance))
    assert told["jobs", (("exported_service", "own"), *own)] == 3
    assert told["up", own] == 1
    assert 0 < told["scrape_duration_seconds", own] < 1


@pytest.mark.parametrize(
    "answer", [(500, {}, b""), (200, {}, b"jobs 3\nbroken{\n"), (200, {}, b"\xff\xfe 1")]
)
def test_a_bad_endpoint_is_down_and_gives_nothing_half(answer):
    with http_server(lambda *_: answer) as url:
        told = samples_of(Target(url))
    assert [name for name, _ in told] == ["up", "scrape_duration_seconds"]
    assert next(iter(told.values())) == 0


def test_an_absent_endpoint_is_down_and_others_are_not():
    with http_server(lambda *_: (200, {}, b"jobs 3\n")) as url:
        scraper = Scraper()
        scraper.set_targets([Target(f"http://{free_address()}/metrics"), Target(url)])
        ups = [sample.value for sample in scraper.samples() if sample.name == "up"]
    assert ups == [0, 1]


@pytest.mark.parametrize(
    "target, url",
    [
        (":9100/metrics", "http://127.0.0.1:9100/metrics"),
        ("10.0.0.1:9100", "http://10.0.0.1:9100/metrics"),
        ("https://x/y", "https://x/y"),
    ],
)
def test_targets_as_the_declaration_writes_them(target, url):
    assert url_of(target) == url
