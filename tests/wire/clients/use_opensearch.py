"""OpenSearch's client."""

import json
import os
from urllib.parse import urlsplit

from opensearchpy import OpenSearch, helpers

at = urlsplit(os.environ["URL"])
client = OpenSearch(
    hosts=[{"host": at.hostname, "port": at.port, "url_prefix": "elastic"}],
    http_auth=("anybody", os.environ["TOKEN"]),
    http_compress=True,
)
told = {"name": client.info()["cluster_name"]}
told["bulk"] = helpers.bulk(
    client, [{"_index": "os-logs", "_id": str(n), "n": n, "message": f"hello {n}"} for n in range(300)]
)[0]
told["again"] = helpers.bulk(client, [{"_index": "os-logs", "_id": "7", "n": 7, "message": "hello 7"}])[0]
_, errors = helpers.bulk(client, [{"_index": "os-logs", "_id": "7", "n": 8}], raise_on_error=False)
told["changed"] = errors[0]["index"]["status"]
told["count"] = client.count(index="os-logs")["count"]
told["get"] = client.get(index="os-logs", id="42")["_source"]
told["found"] = client.search(index="os-logs", body={"query": {"query_string": {"query": "n:[10 TO 19]"}}})[
    "hits"
]["total"]["value"]
told["scanned"] = sum(1 for _ in helpers.scan(client, index="os-logs", size=90))
print(json.dumps(told))
