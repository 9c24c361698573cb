"""Documents of any fields, and what may be asked of them: filters and aggregations, sealed or not, against a list."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from weatherglass.base.errors import Invalid
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.protocols import RawEvent, Samples, Written
from weatherglass.logs import Logs, Settings, aggs
from weatherglass.logs import filter as f
from weatherglass.logs.documents import LINE, SPAN_FORM, Document
from weatherglass.logs.lucene import parse

T0 = 1_800_000_000 * SECOND_NS
OPEN = Callable[..., Logs]
REAL = Path(__file__).parents[3] / "shared" / "data" / "openstack-queries" / "queries.json"


def doc(body: dict[str, Any], at: int = 0, index: str = "logs", id: str = "") -> Document:
    return Document(json.dumps(body), T0 + at, T0 + at * SECOND_NS, index=index, id=id)


BODIES: list[dict[str, Any]] = [
    {
        "message": "Connection to 10.0.0.1 refused",
        "http": {"status": 502},
        "tags": ["console", "a.txt"],
        "user": "ann",
    },
    {"message": "GET /v2/servers", "http": {"status": 200, "took": 0.25}, "user": "bob", "ok": True},
    {"message": "GET /v2/images", "http": {"status": "n/a"}, "user": 7, "ok": False},
    {
        "message": "it's over 9000",
        "http": {"status": 404, "took": 1.5},
        "nested": [{"a": 1}, {"a": 2}],
        "level": "error",
    },
    {"msg": "no message of that name", "http": None, "empty": [], "user": "ann"},
    {"message": "two\nlines <*> with a mark", "http": {"status": 200, "took": 3}, "tags": "console"},
]


@pytest.fixture(params=["head", "blocks", "both"])
def logs(request: pytest.FixtureRequest, open_logs: OPEN) -> Logs:
    made = open_logs()
    half = len(BODIES) // 2
    documents = [doc(body, number, id=f"id{number}") for number, body in enumerate(BODIES)]
    made.write_documents("site", documents[:half])
    if request.param != "head":
        made.seal("site")
    made.write_documents("site", documents[half:])
    if request.param == "blocks":
        made.seal("site")
    return made


FOUND = {
    "http.status:200": [1, 5],
    "http.status:404": [3],
    "http.status:[400 TO 599]": [0, 3],
    "http.status:>=404": [0, 3],
    'http.status:"n/a"': [2],
    "user:ann": [0, 4],
    "user:7": [2],
    "ok:true": [1],
    "ok:false": [2],
    "tags:console": [0, 5],
    'tags:"a.txt"': [0],
    "tags:a*": [0],
    "nested.a:2": [3],
    "_exists_:http.took": [1, 3, 5],
    "NOT _exists_:http.status": [4],
    "_exists_:http": [0, 1, 2, 3, 5],
    "_exists_:empty": [],
    "message:GET": [1, 2],
    "message:get": [1, 2],
    'message:"v2 servers"': [1],
    "message:serv*": [1],
    "message:/im.*s/": [2],
    "message:conection~": [0],
    'message:"connection refused"': [],
    'message:"connection refused"~5': [0],
    "level:ERROR": [3],
    "_index:logs AND _id:id3": [3],
    'message:"name"': [4],
    "msg:name": [4],
    "9000": [3],
    "ann": [0, 4],
    "502": [0],
    "htt*.stat*:404": [3],
    "http.took:[0 TO 2]": [1, 3],
    "user.keyword:ann": [0, 4],
    "lines mark": [5],
    "@timestamp:>2027-01-15T08:00:03": [4, 5],
}


@pytest.mark.parametrize("query", FOUND)
def test_what_is_found(logs: Logs, query: str) -> None:
    hits = logs.find("site", parse(query, now_ns=T0), sort=(("@timestamp", False),))
    assert [hit.id for hit in hits.hits] == [f"id{number}" for number in FOUND[query]]
    assert hits.total == len(FOUND[query])
    for hit in hits.hits:
        assert json.loads(hit.event.raw) == BODIES[int(hit.id[2:])]


def test_the_text_comes_back_byte_for_byte(open_logs: OPEN) -> None:
    logs = open_logs()
    texts = [
        '{ "message" : "odd\\u0041 spaces" ,"n":1.50 }',
        '{"message":"\\ud83d\\ude00 \\n"}',
        '{"a:b":{"c.d":[1,"x",null]}}',
    ]
    logs.write_documents("site", [Document(text, T0 + n, T0 + n) for n, text in enumerate(texts)])
    for _ in range(2):
        found = logs.find("site", f.All(), sort=(("@timestamp", False),))
        assert [event.raw for event in found.events] == texts
        assert len(logs.find("site", f.Term("a:b.c.d", "x")).hits) == 1
        logs.seal("site")


def test_a_line_is_parsed_and_keeps_its_own_time_and_fields(open_logs: OPEN) -> None:
    logs = open_logs()
    line = "2027-01-15 08:00:01.123 77 INFO nova.compute [req-1 - - - - -] Took 3.5 seconds"
    fields = {"stream": "stdout", "k8s": {"pod": "x-1"}}
    logs.write_documents("site", [Document(line, T0, T0 + 5, (("service", "nova"),), fields, form=LINE)])
    for _ in range(2):
        (event,) = logs.find("site", parse("k8s.pod:x-1 AND level:INFO AND Took")).events
        assert (event.time_ns, event.level, event.logger) == (T0 + 5, "INFO", "nova.compute")
        assert (event.raw, event.message) == (line, "Took 3.5 seconds")
        logs.seal("site")


def test_any_number_of_different_fields_makes_no_column_each(open_logs: OPEN, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    logs = open_logs()
    for number in range(20):
        logs.write_documents(
            "site",
            [doc({"message": "m", f"field_{number}_{n}": n, "common": "x"}, number) for n in range(100)],
        )
        logs.count("site", f.All())
    logs.seal("site")
    (path,) = (tmp_path / "logs" / "blocks").rglob("*.parquet")
    assert len(pq.read_schema(path).names) < 250
    assert logs.count("site", parse("field_3_77:77")) == 1
    assert logs.count("site", parse("_exists_:field_19_5")) == 1
    assert logs.count("site", parse("common:x")) == 2000
    assert logs.fields("site")["field_7_7"] == {"int"}


@pytest.mark.skipif(not REAL.exists(), reason=f"no {REAL}")
def test_every_real_query_runs_and_finds_what_it_describes(open_logs: OPEN) -> None:
    import yaml

    logs = open_logs()
    queries = [yaml.safe_load(text)["query"] for text in json.loads(REAL.read_text()).values()]
    logs.write_documents("site", [doc(body, number) for number, body in enumerate(BODIES)])
    phrase = "Dropping user packet because connection is dead"
    console = {
        "message": f"2014-01-01 {phrase}.",
        "filename": "console.html",
        "tags": ["console", "console.html"],
    }
    logs.write_documents("site", [doc(console, 50)])
    logs.seal("site")
    found = Counter(logs.count("site", parse(text, "message")) for text in queries)
    assert sum(found.values()) == 308
    assert found[0] < 308
    assert logs.count("site", parse(f'message:"{phrase}" AND filename:"console.html"')) == 1


# --- aggregations ----------------------------------------------------------------------------------------


def counts(buckets: aggs.Buckets) -> dict[Any, int]:
    return {bucket.key: bucket.count for bucket in buckets.buckets}


def test_aggregations(logs: Logs) -> None:
    asked: dict[str, aggs.Agg] = {
        "users": aggs.Terms("user"),
        "tags": aggs.Terms("tags", order=(("_key", False),)),
        "missing": aggs.Missing("tags"),
        "took": aggs.Stats("http.took"),
        "most": aggs.Metric("max", "http.status"),
        "median": aggs.Percentiles("http.took", (50.0,)),
        "different": aggs.Cardinality("user"),
        "ranges": aggs.Range("http.took", (("quick", None, 1.0), ("slow", 1.0, None))),
        "steps": aggs.Histogram("http.took", 1.0),
        "named": aggs.Filters({"get": parse("message:get"), "ann": parse("user:ann")}, other="else"),
        "top": aggs.TopHits(2, (("http.took", True),)),
        "pairs": aggs.Composite(
            (aggs.Source("u", aggs.Terms("user")), aggs.Source("s", aggs.Terms("http.status"), missing=True)),
            2,
        ),
        "time": aggs.DateHistogram(fixed_ns=2 * SECOND_NS, subs={"users": aggs.Cardinality("user")}),
    }
    found = logs.aggregate("site", f.All(), asked)
    assert counts(found["users"]) == {"ann": 2, "bob": 1, 7: 1}
    assert counts(found["tags"]) == {"a.txt": 1, "console": 2}
    assert found["missing"].count == 4
    assert found["took"] == aggs.Summary(3, 0.25, 3, 4.75, 0.0625 + 2.25 + 9)
    assert found["most"] == 502
    assert found["median"] == {50.0: 1.5}
    assert found["different"] == 3
    assert counts(found["ranges"]) == {"quick": 1, "slow": 2}
    assert counts(found["steps"]) == {0.0: 1, 1.0: 1, 2.0: 0, 3.0: 1}
    assert counts(found["named"]) == {"get": 2, "ann": 2, "else": 2}
    assert [hit.id for hit in found["top"].hits] == ["id5", "id3"]
    assert [bucket.key for bucket in found["pairs"].buckets] == [(7, "n/a"), ("ann", None)]
    assert [(bucket.count, bucket.subs["users"]) for bucket in found["time"].buckets] == [
        (2, 2),
        (2, 1),
        (2, 1),
    ]
    following = logs.aggregate(
        "site",
        f.All(),
        {"pairs": aggs.Composite(asked["pairs"].sources, 5, found["pairs"].after)},  # type: ignore[union-attr]
    )
    assert [bucket.key for bucket in following["pairs"].buckets] == [("ann", 502), ("bob", 200)]


def test_aggregations_agree_with_a_list(open_logs: OPEN) -> None:
    rng, logs = random.Random(3), open_logs()
    bodies = [
        {
            "message": f"n {n}",
            "kind": rng.choice("abc"),
            "load": rng.choice([rng.random() * 10, rng.randrange(10)]),
        }
        for n in range(900)
    ]
    for begin in range(0, 900, 300):
        logs.write_documents(
            "site", [doc(body, begin + n) for n, body in enumerate(bodies[begin : begin + 300])]
        )
        if begin < 600:
            logs.seal("site")
    found = logs.aggregate(
        "site",
        f.Range("load", lt=5),
        {
            "kinds": aggs.Terms("kind", subs={"load": aggs.Stats("load")}),
            "days": aggs.DateHistogram(calendar="hour"),
        },
    )
    want = Counter(body["kind"] for body in bodies if body["load"] < 5)
    assert counts(found["kinds"]) == want
    for bucket in found["kinds"].buckets:
        loads = [body["load"] for body in bodies if body["kind"] == bucket.key and body["load"] < 5]
        assert bucket.subs["load"].sum == pytest.approx(sum(loads))
        assert bucket.subs["load"].max == max(loads)
    assert sum(counts(found["days"]).values()) == sum(want.values())


def test_a_calendar_follows_the_clock_of_its_zone(open_logs: OPEN) -> None:
    logs = open_logs()
    begin = 1_774_700_000 * SECOND_NS  # 2026-03-28, the day before Berlin's clocks go forward
    logs.write_raw("site", [RawEvent(begin + hour * 3600 * SECOND_NS, (), f"n {hour}") for hour in range(60)])
    for _ in range(2):
        agg = aggs.DateHistogram(calendar="day", tz="Europe/Berlin")
        days = logs.aggregate("site", f.All(), {"days": agg})["days"].buckets
        widths = [(after.key - before.key) // (3600 * SECOND_NS) for before, after in pairwise(days)]
        assert widths[:2] == [24, 23]
        logs.seal("site")


def test_too_many_buckets_are_refused(open_logs: OPEN) -> None:
    logs = open_logs()
    logs.write_raw("site", [RawEvent(1, (), "a"), RawEvent(T0, (), "b")])
    with pytest.raises(Invalid, match="buckets"):
        logs.aggregate("site", f.All(), {"h": aggs.DateHistogram(fixed_ns=SECOND_NS)})


@pytest.mark.parametrize(
    "sort",
    [(("load", True),), (("kind", False), ("load", True)), (("@timestamp", True),), (("none", False),)],
)
def test_pages_of_any_order_have_everything_once(open_logs: OPEN, sort: aggs.Sort) -> None:
    rng, logs = random.Random(5), open_logs()
    bodies = [
        {"message": "m", "kind": rng.choice(["a", "b", 3]), "load": rng.randrange(5)} for _ in range(90)
    ]
    for begin in range(0, 90, 30):
        logs.write_documents(
            "site",
            [doc(body, begin + n, id=str(begin + n)) for n, body in enumerate(bodies[begin : begin + 30])],
        )
        if begin < 60:
            logs.seal("site")
    seen: list[str] = []
    after: Any = None
    while page := logs.find("site", f.All(), sort=sort, limit=17, after=after).hits:
        seen += [hit.id for hit in page]
        after = page[-1].sort
    assert sorted(seen, key=int) == [str(n) for n in range(90)]
    whole = logs.find("site", f.All(), sort=sort, limit=100)
    assert [hit.id for hit in whole.hits] == seen
    if sort[0][0] == "load":
        loads = [bodies[int(id_)]["load"] for id_ in seen]
        assert loads == sorted(loads, reverse=True)


# --- requests, tail, counts, upkeep ----------------------------------------------------------------------


def test_a_request_is_followed_across_services(open_logs: OPEN) -> None:
    logs = open_logs()
    nova, neutron, glance = ((("service", name),) for name in ("nova", "neutron", "glance"))
    line = "2027-01-15 08:00:0{}.000 7 {} {}.api [{} {} u p - - d d] {}\n"
    logs.write_raw(
        "site",
        [
            RawEvent(T0, nova, line.format(1, "INFO", "nova", "None", "req-a", "POST /servers")),
            RawEvent(T0, neutron, line.format(2, "INFO", "neutron", "req-a", "req-b", "port made")),
            RawEvent(T0, glance, line.format(3, "ERROR", "glance", "req-a", "req-c", "no image")),
            RawEvent(T0, glance, line.format(4, "INFO", "glance", "req-z", "req-y", "another")),
        ],
    )
    spans = [
        {"trace_id": "t1", "span_id": "s1", "request_id": "req-a", "duration_ns": 3 * SECOND_NS},
        {"trace_id": "t1", "span_id": "s2", "parent_id": "s1", "duration_ns": SECOND_NS},
    ]
    logs.write_documents(
        "site",
        [
            Document(
                json.dumps({"name": one["span_id"]}), T0, T0 + (n + 1) * SECOND_NS, nova, one, form=SPAN_FORM
            )
            for n, one in enumerate(spans)
        ],
    )
    for _ in range(2):
        for id_ in ("req-b", "t1"):
            found = logs.request("site", id_)
            assert [row.request_id for row in found.rows if not row.span] == ["req-a", "req-b", "req-c"]
            assert found.services == ("nova", "neutron", "glance")
            assert [(row.depth, row.duration_ns) for row in found.rows if row.span] == [
                (0, 3 * SECOND_NS),
                (1, SECOND_NS),
            ]
            assert (found.errors, found.end_ns - found.start_ns) == (1, 3 * SECOND_NS)
        assert logs.request("site", "req-nowhere").rows == ()
        logs.seal("site")


def test_templates_new_and_rare(open_logs: OPEN) -> None:
    logs = open_logs()
    old = [RawEvent(T0 + n, (), f"2027-01-15 08:00:00.{n:03} 1 INFO a [-] took {n} ms") for n in range(50)]
    new = [RawEvent(T0 + n, (), f"2027-01-15 09:00:00.{n:03} 1 ERROR a [-] took {n} ms") for n in range(3)]
    logs.write_raw("site", old)
    logs.seal("site")
    logs.write_raw("site", [*new, RawEvent(T0, (), "2027-01-15 09:00:01.000 1 ERROR a [-] out of memory")])
    since = T0 + 1800 * SECOND_NS
    assert [one.text for one in logs.new_templates("site", since)] == ["out of memory"]
    assert logs.templates("site")[0].count == 53
    assert logs.templates("site")[0].levels == {"INFO": 50, "ERROR": 3}
    assert [one.text for one in logs.rare_templates("site", start_ns=0, end_ns=1 << 62, most=1)] == [
        "out of memory"
    ]


def test_a_tail_sees_what_is_new_and_asked_for(open_logs: OPEN) -> None:
    logs = open_logs()
    logs.write_raw("site", [RawEvent(T0, (), "before")])
    logs.count("site", f.All())
    with logs.tail("site", parse("wanted")) as tail:
        logs.write_raw("site", [RawEvent(T0, (), "wanted 1"), RawEvent(T0, (), "other")])
        logs.write_raw("genomics", [RawEvent(T0, (), "wanted elsewhere")])
        logs.tick()
        assert [hit.event.message for hit in tail.get(1)] == ["wanted 1"]
        assert tail.get(0.01) == []


class Sink:
    """A fake: keeps the samples it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[str, Samples]] = []

    def append(self, tenant: str, batch: Samples) -> Written:
        self.given.append((tenant, batch))
        return Written(len(batch.series))


def test_counts_become_samples(open_logs: OPEN) -> None:
    sink, clock = Sink(), ManualClock(T0)
    logs = open_logs(samples=sink, clock=clock)
    logs.tick()
    line = "2027-01-15 08:00:00.000 1 {} a [-] took {} ms"
    service = (("service", "nova"),)
    for number, level in enumerate(("INFO", "INFO", "ERROR")):
        logs.write_raw("site", [RawEvent(T0, service, line.format(level, number))])
    clock.advance(20)
    logs.tick()
    ((tenant, batch),) = sink.given
    told = {series: values[0] for series, values in zip(batch.series, batch.values, strict=True)}
    assert tenant == "site"
    assert told[(("__name__", "weatherglass_log_events_total"), ("level", "INFO"), ("service", "nova"))] == 2
    templates = [
        dict(one) for one in told if dict(one)["__name__"] == "weatherglass_log_template_events_total"
    ]
    assert {one["level"] for one in templates} == {"INFO", "ERROR"}


def test_small_blocks_become_one(open_logs: OPEN, tmp_path: Path) -> None:
    logs = open_logs(settings=Settings(seal_events=10))
    for number in range(80):
        labels = (("service", f"s{number % 3}"),)
        logs.write_raw(
            "site", [RawEvent(T0 + number * 7 % 100, labels, f"event {number} took {number * 3} ms")]
        )
        if number % 10 == 9:
            logs.seal("site")
    before = sorted(map(repr, logs.find("site", f.All()).events))
    assert logs.stats()["blocks"] == 8
    assert logs.compact("site") == 8
    assert logs.stats()["blocks"] == 1
    assert sorted(map(repr, logs.find("site", f.All()).events)) == before
    assert len(list((tmp_path / "logs" / "blocks").rglob("*.parquet"))) == 1
    assert logs.compact("site") == 0
    logs.stop()
    again = open_logs()
    assert sorted(map(repr, again.find("site", f.All()).events)) == before


def test_levels_are_kept_for_as_long_as_each_is_worth(open_logs: OPEN) -> None:
    from weatherglass.logs.retention import Retention

    clock = ManualClock(T0)
    kept = {"site": Retention(levels={"DEBUG": 3600})}
    logs = open_logs(clock=clock, retention=lambda tenant: kept.get(tenant, Retention()))
    line = "2027-01-15 08:00:00.{:03} 1 {} a [-] took {} ms"
    for tenant in ("site", "genomics"):
        logs.write_raw(
            tenant,
            [RawEvent(T0, (), line.format(n, level, n)) for n, level in enumerate(["DEBUG", "ERROR"] * 5)],
        )
        logs.write_raw(tenant + "-debug", [RawEvent(T0, (), line.format(n, "DEBUG", n)) for n in range(4)])
        logs.seal(tenant)
        logs.seal(tenant + "-debug")
    kept["site-debug"] = kept["site"]
    logs.drop_old()
    assert logs.count("site", f.All()) == 10
    clock.advance(3601)
    assert logs.drop_old() == 1
    assert {event.level for event in logs.find("site", f.All()).events} == {"ERROR"}
    assert [
        logs.count(tenant, f.All()) for tenant in ("site", "site-debug", "genomics", "genomics-debug")
    ] == [5, 0, 10, 4]
    assert logs.drop_old() == 0
