"""Elasticsearch's own client of version 9: its helpers, scrolls, points in time."""

import json
import os

from elasticsearch9 import Elasticsearch, NotFoundError, helpers

es = Elasticsearch(
    os.environ["URL"] + "/elastic", basic_auth=("anybody", os.environ["TOKEN"]), http_compress=True
)
told = {"version": es.info()["version"]["number"]}
es.indices.put_index_template(
    name="py", index_patterns=["py-*"], template={"mappings": {"properties": {"level": {"type": "keyword"}}}}
)
documents = [
    {
        "_index": "py-logs",
        "_source": {
            "@timestamp": f"2026-11-22T10:{n // 60:02d}:{n % 60:02d}Z",
            "n": n,
            "message": f"line {n}",
        },
    }
    for n in range(2500)
]
told["bulk"] = helpers.bulk(es, documents)[0]
told["streamed"] = sum(
    ok for ok, _ in helpers.streaming_bulk(es, ({**one, "_op_type": "create"} for one in documents[:10]))
)
told["count"] = es.count(index="py-logs")["count"]
told["scanned"] = sum(
    1 for _ in helpers.scan(es, index="py-logs", query={"query": {"range": {"n": {"gte": 100}}}}, size=700)
)
found = es.search(index="py-*", query={"match": {"message": "2042"}}, sort=[{"@timestamp": "desc"}])
told["hit"] = found["hits"]["hits"][0]["_source"]["n"]
told["aggs"] = es.search(
    index="py-logs",
    size=0,
    aggs={
        "m": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10m"}},
        "s": {"stats": {"field": "n"}},
    },
)["aggregations"]
pit, after, paged = es.open_point_in_time(index="py-logs", keep_alive="1m")["id"], None, 0
while True:
    more = {"search_after": after} if after else {}
    page = es.search(pit={"id": pit, "keep_alive": "1m"}, size=900, sort=[{"@timestamp": "asc"}], **more)[
        "hits"
    ]["hits"]
    if not page:
        break
    paged, after = paged + len(page), page[-1]["sort"]
told["paged"] = paged
told["closed"] = es.close_point_in_time(id=pit)["succeeded"]
told["exists"] = [bool(es.indices.exists(index="py-logs")), bool(es.indices.exists(index="nothing"))]
told["mapping"] = es.indices.get_mapping(index="py-logs").body["py-logs"]["mappings"]["properties"]["level"]
told["health"] = es.cluster.health()["status"]
told["cat"] = es.cat.indices(index="py-*", format="json", h="index,docs.count").body
told["searches"] = [
    one["status"]
    for one in es.msearch(
        searches=[
            {"index": "py-logs"},
            {"query": {"match_all": {}}},
            {"index": "nothing"},
            {"query": {"match_all": {}}},
        ]
    )["responses"]
]
try:
    es.search(index="nothing")
except NotFoundError as error:
    told["missing"] = error.body["error"]["type"]
print(json.dumps(told))
