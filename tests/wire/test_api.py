"""What Elasticsearch's API answers, as data: queries, aggregations, errors; and the addresses around them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from wire.conftest import Wire

CASES = Path(__file__).parent / "cases"
DOCUMENTS: dict[str, dict[str, Any]] = {
    "a": {"message": "Disk failed on ctl-1", "kind": "disk", "status": 500, "ok": False, "load": 0.25,
          "when": "2026-02-02T00:00:00Z", "tags": ["x", "y"], "user": {"name": "ada", "id": 1}},
    "b": {"message": "disk FAILED at ctl-2", "kind": "Disk", "status": 200, "ok": True, "load": 0.5,
          "when": "2026-02-03T12:00:00Z", "user": {"name": "bob", "id": 2}},
    "c": {"message": "all is well", "kind": "net", "status": 404, "ok": True, "when": "2026-02-04T00:00:00Z", "tags": "x"},
    "d": {"message": "link failed", "kind": "net", "status": 500, "ok": False, "load": 0.75,
          "when": "2026-02-05T00:00:00Z", "tags": ["z"], "user": {"name": "ada", "id": 1}},
    "e": {"message": "a disk on ctl-1 was found", "when": "2026-03-01T00:00:00+01:00"},
    "f": {"message": "quota reached", "kind": "other", "note": "no longer"},
}  # fmt: skip
DOCUMENTS["e"]["when"] = "2026-03-01T00:00:00Z"


def cases(name: str) -> list[Any]:
    return list(yaml.safe_load((CASES / f"{name}.yaml").read_text()))


@pytest.fixture(scope="module", autouse=True)
def stored(wire: Wire) -> Iterator[None]:
    lines = []
    for number, (letter, document) in enumerate(DOCUMENTS.items()):
        source = {"@timestamp": f"2026-11-22T10:0{number}:00.000Z", **document}
        lines += [json.dumps({"create": {"_index": "cases", "_id": letter}}), json.dumps(source)]
    answer = wire("PUT", "/_bulk", "\n".join(lines) + "\n")
    assert not answer.json()["errors"], answer.text
    yield


@pytest.mark.parametrize("case", cases("queries"), ids=lambda case: json.dumps(case)[:90])
def test_queries(wire: Wire, case: dict[str, Any]) -> None:
    query = {name: one for name, one in case.items() if name != "finds"}
    found = wire.search("cases", {"query": query, "size": 20})["hits"]
    assert "".join(sorted(hit["_id"] for hit in found["hits"])) == case["finds"]
    assert found["total"] == {"value": len(case["finds"]), "relation": "eq"}
    assert wire("POST", "/cases/_count", {"query": query}).json()["count"] == len(case["finds"])


@pytest.mark.parametrize("case", cases("aggregations"), ids=lambda case: json.dumps(case["aggs"])[:90])
def test_aggregations(wire: Wire, case: dict[str, Any]) -> None:
    answer = wire.search("cases", {"size": 0, "aggs": {"it": case["aggs"]}})
    assert answer["aggregations"]["it"] == case["gives"]
    assert answer["hits"]["hits"] == []


@pytest.mark.parametrize("case", cases("errors"), ids=lambda case: json.dumps(case["body"])[:90])
def test_errors(wire: Wire, case: dict[str, Any]) -> None:
    answer = wire("POST", "/cases/_search", case["body"])
    told = answer.json()
    assert (answer.status_code, told["status"], told["error"]["type"]) == (
        case["status"],
        case["status"],
        case["type"],
    )
    assert told["error"]["reason"].startswith(case["reason"]), told
    assert told["error"]["root_cause"][0]["type"]


def test_every_answer_says_whose_product_it_is(wire: Wire) -> None:
    media = "application/vnd.elasticsearch+json; compatible-with=9"
    answer = wire.http.get("/elastic/", headers={"accept": media})
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    assert answer.headers["content-type"] == "application/vnd.elasticsearch+json;compatible-with=9"
    assert wire("GET", "/nothing/_search").headers["x-elastic-product"] == "Elasticsearch"


def test_nobody_comes_in_without_a_token(wire: Wire) -> None:
    import httpx

    answer = httpx.get(f"{wire.url}/elastic/_search")
    assert answer.status_code == 401 and answer.json()["error"]["type"] == "security_exception"
    for given in ({"auth": ("x", "wrong")}, {"headers": {"Authorization": "ApiKey d3Jvbmc6d3Jvbmc="}}):
        assert httpx.get(f"{wire.url}/elastic/", **given).status_code == 401
    assert httpx.get(f"{wire.url}/elastic/", auth=("x", wire.token)).status_code == 200
    assert (
        httpx.get(f"{wire.url}/elastic/", headers={"Authorization": f"ApiKey {wire.token}"}).status_code
        == 200
    )


def test_tenants_see_their_own_alone(wire: Wire) -> None:
    import httpx

    token = wire.house.identity.create("other", "member", ["other"])[1]
    mine = httpx.Client(base_url=wire.url, auth=("x", token))
    assert mine.get("/elastic/cases/_search").status_code == 404
    assert mine.put("/elastic/cases/_doc/1", json={"theirs": 1}).status_code == 201
    assert mine.get("/elastic/_count").json()["count"] == 1
    assert wire("GET", "/cases/_doc/1").status_code == 404
    viewer = wire.house.identity.create("looks", "viewer", ["other"])[1]
    assert httpx.post(f"{wire.url}/elastic/cases/_doc", json={"a": 1}, auth=("x", viewer)).status_code == 403
    answer = mine.get("/loki/api/v1/labels", headers={"X-Scope-OrgID": "site"})
    assert answer.status_code == 403


def test_sorting_and_pages(wire: Wire) -> None:
    order = [{"status": {"order": "desc"}}, {"@timestamp": "asc"}]
    first = wire.search("cases", {"sort": order, "size": 4})["hits"]["hits"]
    assert "".join(hit["_id"] for hit in first) == "adcb"
    assert first[0]["sort"] == [500, 1795341600000] and first[0]["_score"] is None
    rest = wire.search("cases", {"sort": order, "size": 4, "search_after": first[-1]["sort"]})["hits"]["hits"]
    assert "".join(hit["_id"] for hit in rest) == "ef"
    by_date = {"sort": [{"when": "desc"}], "size": 2}
    page = wire.search("cases", by_date)["hits"]["hits"]
    assert [hit["_id"] for hit in page] == ["e", "d"] and page[1]["sort"] == [1770249600000]
    page = wire.search("cases", {**by_date, "search_after": page[-1]["sort"]})["hits"]
    assert [hit["_id"] for hit in page["hits"]] == ["c", "b"] and page["total"]["value"] == 6
    assert [hit["_id"] for hit in wire.search("cases", {"sort": "status:asc"}, size=1)["hits"]["hits"]] == [
        "b"
    ]
    assert (
        wire.search("cases", {"sort": [{"gone": {"unmapped_type": "long"}}]})["hits"]["total"]["value"] == 6
    )


def test_what_a_hit_shows(wire: Wire) -> None:
    def one(**body: Any) -> Any:
        return wire.search("cases", {"query": {"ids": {"values": ["a"]}}, **body})["hits"]["hits"][0]

    assert one(_source=False).get("_source") is None
    assert one(_source=["user.*", "status"])["_source"] == {"user": {"name": "ada", "id": 1}, "status": 500}
    assert one(_source={"excludes": ["user", "t*", "m*", "@*"]})["_source"].keys() == {
        "kind",
        "status",
        "ok",
        "load",
        "when",
    }
    shown = one(fields=["tags", {"field": "when", "format": "yyyy"}, "user.name"], _source=False)["fields"]
    assert shown == {"tags": ["x", "y"], "when": ["2026"], "user.name": ["ada"]}
    assert one(docvalue_fields=["@timestamp"])["fields"] == {"@timestamp": ["2026-11-22T10:00:00.000Z"]}
    marked = wire.search(
        "cases", {"query": {"match": {"message": "failed"}}, "highlight": {"fields": {"message": {}}, "pre_tags": ["<b>"], "post_tags": ["</b>"]}}
    )  # fmt: skip
    assert marked["hits"]["hits"][0]["highlight"] == {"message": ["Disk <b>failed</b> on ctl-1"]}


def test_totals(wire: Wire) -> None:
    assert wire.search("cases", {"track_total_hits": 3})["hits"]["total"] == {"value": 3, "relation": "gte"}
    assert "total" not in wire.search("cases", {"track_total_hits": False})["hits"]
    assert wire.search("cases", rest_total_hits_as_int="true")["hits"]["total"] == 6
    assert wire.search("cases", q="kind:net")["hits"]["total"]["value"] == 2
    assert wire("GET", "/cases/_search?size=1&filter_path=hits.hits._id,-took").json() == {
        "hits": {"hits": [{"_id": "a"}]}
    }
    typed = wire.search(
        "cases",
        {
            "size": 0,
            "aggs": {"x": {"terms": {"field": "kind.keyword"}, "aggs": {"m": {"max": {"field": "load"}}}}},
        },
        typed_keys="true",
    )
    assert "max#m" in typed["aggregations"]["sterms#x"]["buckets"][0]


def test_bulk_tells_each_document_its_own(wire: Wire) -> None:
    lines = [
        {"create": {"_index": "each", "_id": "1"}}, {"n": 1}, "",
        {"create": {"_index": "each", "_id": "1"}}, {"n": 2},
        {"index": {"_index": "each", "_id": "1"}}, {"n": 1},
        {"index": {"_index": "each", "_id": "1"}}, {"n": 3},
        {"index": {"_index": "BAD"}}, {"n": 4},
        {"update": {"_index": "each", "_id": "1"}}, {"doc": {"n": 9}},
        {"delete": {"_index": "each", "_id": "1"}},
        {"delete": {"_index": "each", "_id": "none"}},
        {"index": {"_index": "each"}}, {"n": 5},
        {"index": {"_index": "each"}}, "{broken",
        {"update": {"_index": "each", "_id": "new"}}, {"doc": {"n": 6}, "doc_as_upsert": True},
    ]  # fmt: skip
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n"
    answer = wire("POST", "/_bulk", gzip.compress(body.encode()), headers={"content-encoding": "gzip"}).json()
    assert answer["errors"] is True
    found = [next(iter(item.items())) for item in answer["items"]]
    assert [
        (action, told["status"], told.get("result") or told["error"]["type"]) for action, told in found
    ] == [
        ("create", 201, "created"),
        ("create", 409, "version_conflict_engine_exception"),
        ("index", 200, "noop"),
        ("index", 409, "version_conflict_engine_exception"),
        ("index", 400, "invalid_index_name_exception"),
        ("update", 400, "illegal_argument_exception"),
        ("delete", 400, "illegal_argument_exception"),
        ("delete", 404, "not_found"),
        ("index", 201, "created"),
        ("index", 400, "document_parsing_exception"),
        ("update", 201, "created"),
    ]
    assert sorted(one["n"] for one in wire.sources("each")) == [1, 5, 6]
    for bad in ('{"foo":{}}\n', '{"index":{}}\n', "[]\n", '{"index":{"_index":"x","what":1}}\n{}\n', ""):
        assert wire("POST", "/each/_bulk", bad).status_code == 400, bad


def test_indices_come_and_go(wire: Wire) -> None:
    made = wire(
        "PUT",
        "/things",
        {
            "mappings": {
                "properties": {"at": {"type": "date", "format": "yyyy/MM/dd"}, "id": {"type": "keyword"}}
            }
        },
    )
    assert made.json() == {"acknowledged": True, "shards_acknowledged": True, "index": "things"}
    assert wire("PUT", "/things").json()["error"]["type"] == "resource_already_exists_exception"
    assert wire("HEAD", "/things").status_code == 200 and wire("HEAD", "/gone").status_code == 404
    wire.bulk("things", [{"at": "2026/02/03", "id": "q"}, {"at": "2026/02/04", "id": 7}])
    assert (
        wire.search("things", {"query": {"range": {"at": {"gte": "2026/02/04"}}}})["hits"]["total"]["value"]
        == 1
    )
    by_day = wire.search(
        "things", {"size": 0, "aggs": {"d": {"date_histogram": {"field": "at", "calendar_interval": "day"}}}}
    )
    assert [one["key_as_string"] for one in by_day["aggregations"]["d"]["buckets"]] == [
        "2026/02/03",
        "2026/02/04",
    ]
    assert wire.search("things", {"query": {"term": {"id": "7"}}})["hits"]["total"]["value"] == 1
    assert wire("POST", "/_aliases", {"actions": [{"add": {"index": "things", "alias": "them"}}]}).json()[
        "acknowledged"
    ]
    assert wire.search("them")["hits"]["hits"][0]["_index"] == "things"
    assert wire("GET", "/_alias/them").json() == {"things": {"aliases": {"them": {}}}}
    assert wire("GET", "/_cat/aliases?format=json&h=alias,index").json() == [
        {"alias": "them", "index": "things"}
    ]
    assert wire("PUT", "/things/_mapping", {"properties": {"id": {"type": "long"}}}).status_code == 400
    assert wire("POST", "/things/_close").json()["acknowledged"]
    assert wire("POST", "/things/_search", {}).json()["error"]["type"] == "index_closed_exception"
    assert wire("POST", "/things/_open").json()["acknowledged"]
    assert wire("DELETE", "/things").json() == {"acknowledged": True}
    assert wire("POST", "/things/_search", {}).json()["error"]["type"] == "index_not_found_exception"
    wire.bulk("things", [{"id": "anew"}])
    assert [one["id"] for one in wire.sources("things")] == ["anew"]
    assert wire.search("things")["hits"]["hits"][0]["_index"] == "things"


def test_expressions_of_indices(wire: Wire) -> None:
    for name in ("one-a", "one-b", "two-a"):
        wire.bulk(name, [{"of": name}])

    def names(expression: str, **params: str) -> list[str]:
        answer = wire("POST", f"/{expression}/_search", {"size": 50}, params=params)
        return (
            sorted({hit["_index"] for hit in answer.json()["hits"]["hits"]})
            if answer.status_code == 200
            else []
        )

    assert names("one-*") == ["one-a", "one-b"] and names("one-*,two-a,-one-b") == ["one-a", "two-a"]
    assert names("one-a,gone") == [] and names("one-a,gone", ignore_unavailable="true") == ["one-a"]
    assert names("gone-*") == [] and wire("GET", "/gone-*/_search?allow_no_indices=false").status_code == 404
    assert wire("GET", "/gone-*/_search").json()["hits"]["total"]["value"] == 0
    told = wire("GET", "/_resolve/index/one-*").json()
    assert [one["name"] for one in told["indices"]] == ["one-a", "one-b"]


def test_templates_and_streams(wire: Wire) -> None:
    assert wire(
        "PUT",
        "/_component_template/base",
        {"template": {"mappings": {"properties": {"code": {"type": "keyword"}}}}},
    ).json()["acknowledged"]
    template = {"index_patterns": ["st-*"], "composed_of": ["base"], "data_stream": {}, "priority": 10}
    assert wire("PUT", "/_index_template/st", template).json()["acknowledged"]
    answer = wire("POST", "/st-app/_doc", {"@timestamp": "2026-11-22T10:00:00Z", "code": "x1"})
    assert answer.status_code == 400  # a stream takes `create` alone
    answer = wire("POST", "/st-app/_doc?op_type=create", {"@timestamp": "2026-11-22T10:00:00Z", "code": "x1"})
    assert answer.status_code == 201 and answer.json()["_index"].startswith(".ds-st-app-")
    assert (
        wire("POST", "/st-app/_doc?op_type=create", {"code": "x2"}).json()["error"]["type"]
        == "document_parsing_exception"
    )
    assert wire("POST", "/st-app/_rollover").json()["rolled_over"]
    assert (
        wire(
            "POST", "/st-app/_doc?op_type=create", {"@timestamp": "2026-11-22T10:01:00Z", "code": "x3"}
        ).status_code
        == 201
    )
    assert len({hit["_index"] for hit in wire.search("st-app")["hits"]["hits"]}) == 2
    assert wire.search("st-app", {"query": {"term": {"code": "x3"}}})["hits"]["total"]["value"] == 1
    (stream,) = wire("GET", "/_data_stream/st-app").json()["data_streams"]
    assert stream["generation"] == 2
    assert wire("DELETE", "/_data_stream/st-app").json()["acknowledged"]
    assert wire("GET", "/_index_template/st").json()["index_templates"][0]["name"] == "st"
    assert wire("GET", "/_index_template/none").status_code == 404


def test_what_shippers_register(wire: Wire) -> None:
    assert wire("PUT", "/_ilm/policy/p", {"policy": {"phases": {}}}).json()["acknowledged"]
    assert wire("GET", "/_ilm/policy/p").json()["p"]["policy"] == {"phases": {}}
    assert wire("GET", "/_ilm/policy/none").status_code == 404
    assert wire("PUT", "/_ingest/pipeline/q", {"processors": []}).json()["acknowledged"]
    assert wire("GET", "/_ingest/pipeline/q").json() == {"q": {"processors": []}}
    assert wire("POST", "/cases-p/_doc?pipeline=none", {"a": 1}).status_code == 400
    assert wire("GET", "/_license").json()["license"]["status"] == "active"
    assert (
        wire("GET", "/_xpack").status_code
        == wire("GET", "/_nodes").status_code
        == wire("GET", "/_nodes/http").status_code
        == 200
    )
    assert wire("GET", "/_cluster/health").json()["status"] == "green"
    assert wire("GET", "/_no/such/thing").json()["error"]["type"] == "illegal_argument_exception"
    assert (
        wire("POST", "/cases/_validate/query?explain=true", {"query": {"foo": {}}}).json()["valid"] is False
    )
    tokens = wire("POST", "/_analyze", {"analyzer": "standard", "text": "Disk FAILED"}).json()["tokens"]
    assert [one["token"] for one in tokens] == ["disk", "failed"]


def test_fields(wire: Wire) -> None:
    told = wire("GET", "/cases/_field_caps?fields=status,kind*,when,user").json()["fields"]
    assert {name: list(kinds) for name, kinds in told.items()} == {
        "status": ["long"], "kind": ["text"], "kind.keyword": ["keyword"], "when": ["date"], "user": ["object"],
    }  # fmt: skip
    assert told["kind"]["text"]["aggregatable"] is False and told["status"]["long"]["aggregatable"] is True
    properties = wire("GET", "/cases/_mapping").json()["cases"]["mappings"]["properties"]
    assert properties["load"] == {"type": "float"} and properties["user"]["properties"]["id"] == {
        "type": "long"
    }


def test_what_is_of_another_type_is_stored_beside(wire: Wire) -> None:
    wire.bulk(
        "mixed",
        [{"code": 7}, {"code": "seven"}, {"code": True}, {"code": {"deep": 1}}, {"code": [8, "eight"]}],
    )
    assert len(wire.sources("mixed")) == 5
    assert wire.search("mixed", {"query": {"term": {"code": 8}}})["hits"]["total"]["value"] == 1


def test_events_of_the_house(wire: Wire) -> None:
    from weatherglass.engine.protocols import RawEvent

    text = "2026-11-22 10:00:01.000 7 ERROR nova.compute [None req-1 - - - - - -] no space left\n"
    wire.house.rooms.logs.write_raw(
        "site", [RawEvent(1_795_341_601_000_000_000, (("host", "c1"), ("service", "nova")), text)]
    )
    (hit,) = wire.search(
        "weatherglass-nova", {"query": {"query_string": {"query": 'level:ERROR AND "no space"'}}}
    )["hits"]["hits"]
    assert hit["_index"] == "weatherglass-nova"
    assert (
        hit["_source"]["@timestamp"].startswith("2026-11-22T10:00:01") and hit["_source"]["service"] == "nova"
    )
    assert "weatherglass-nova" in {row["index"] for row in wire("GET", "/_cat/indices?format=json").json()}
    assert wire("DELETE", "/weatherglass-nova").status_code == 400
    assert wire("GET", "/weatherglass-*/_count?q=logger:nova.compute").json()["count"] == 1
