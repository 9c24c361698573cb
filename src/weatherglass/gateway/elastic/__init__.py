"""`/elastic/…`: Elasticsearch's API over the logs room, as far as shippers, dashboards and their tools use it.

Pure translators (`query`, `strings`, `leaves`, `aggregations`, `sorting`, `hits`, `dates`, `fields`, `names`), the
little state a client needs (`indices`, `contexts`; durable in `logs.registered`), and the handlers; here is the table
that says which address is whose. The store is append-only; `writing` says what that means for a client.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.routing import BaseRoute, Route

from weatherglass.gateway.context import Context
from weatherglass.gateway.elastic.admin import Admin
from weatherglass.gateway.elastic.asking import Ask, Handler, Reply
from weatherglass.gateway.elastic.cat import Cat
from weatherglass.gateway.elastic.cluster import Cluster
from weatherglass.gateway.elastic.documents import Documents, analyze
from weatherglass.gateway.elastic.faults import argument
from weatherglass.gateway.elastic.indices import COMPONENT, LEGACY, TEMPLATE, Indices
from weatherglass.gateway.elastic.named import PIPELINE, POLICY, Named
from weatherglass.gateway.elastic.room import Store
from weatherglass.gateway.elastic.searching import Searching
from weatherglass.gateway.elastic.serving import PREFIX, endpoint
from weatherglass.gateway.elastic.writing import Writing, bulk
from weatherglass.gateway.rooms import Absent

READ, WRITE = "logs.read", "logs.write"
_BOTH = ("GET", "POST")
_PUTS = ("PUT", "POST")

Row = tuple[tuple[str, ...], str, Handler, str]


def routes(context: Context) -> Iterable[BaseRoute]:
    """Every address, the more exact ones first."""
    rooms = context.rooms
    kept: Any = rooms.more.get("registered") or Absent("logs")
    store = Store(rooms.logs)
    indices = Indices(kept, store, rooms.clock)
    writing = Writing(indices, kept, store, rooms.clock)
    searching, documents = Searching(indices, store, rooms.clock), Documents(indices, writing, store)
    admin, cluster, cat = Admin(indices, kept), Cluster(indices, kept), Cat(indices, kept, store)
    named = Named(indices, kept)

    def bulked(ask: Ask) -> Reply:
        return Reply(bulk(writing, ask))

    rows: list[Row] = [
        (("GET", "HEAD"), "", cluster.root, READ),
        (("GET", "HEAD"), "/", cluster.root, READ),
        (_PUTS, "/_bulk", bulked, WRITE),
        (_BOTH, "/_search", searching.search, READ),
        (_BOTH, "/_msearch", searching.many, READ),
        (_BOTH, "/_count", searching.count, READ),
        (_BOTH, "/_validate/query", searching.validate, READ),
        (("POST",), "/_async_search", searching.search_async, READ),
        (_BOTH, "/_search/scroll", searching.scroll, READ),
        (_BOTH, "/_search/scroll/{id}", searching.scroll, READ),
        (("DELETE",), "/_search/scroll", searching.unscroll, READ),
        (("DELETE",), "/_search/scroll/{id}", searching.unscroll, READ),
        (("DELETE",), "/_pit", searching.close_point, READ),
        (_BOTH, "/_mget", documents.many, READ),
        (_BOTH, "/_analyze", analyze, READ),
        (_BOTH, "/_field_caps", admin.field_caps, READ),
        (("GET",), "/_mapping", admin.mapping, READ),
        (("GET",), "/_mappings", admin.mapping, READ),
        (("GET",), "/_mapping/field/{fields}", admin.field_mapping, READ),
        (("GET",), "/_settings", admin.settings, READ),
        (("GET",), "/_stats", admin.stats, READ),
        (("GET",), "/_stats/{metric}", admin.stats, READ),
        (_BOTH, "/_refresh", admin.refreshed, READ),
        (_BOTH, "/_flush", admin.refreshed, READ),
        (("GET",), "/_resolve/index/{name}", admin.resolve, READ),
        (("GET", "HEAD"), "/_alias", admin.alias, READ),
        (("GET",), "/_aliases", admin.alias, READ),
        (("POST",), "/_aliases", admin.aliases, WRITE),
        (("GET", "HEAD"), "/_alias/{name}", admin.alias, READ),
        *_named("/_index_template", named.templates, named.put_template, named, TEMPLATE, "index_template"),
        *_named(
            "/_component_template",
            named.components,
            named.put_component,
            named,
            COMPONENT,
            "component_template",
        ),
        *_named("/_template", named.legacy, named.put_legacy, named, LEGACY, "index_template"),
        *_named("/_ingest/pipeline", named.pipelines, named.put_pipeline, named, PIPELINE, "pipeline"),
        *_named("/_ilm/policy", named.policies, named.put_policy, named, POLICY, "lifecycle policy"),
        (("GET",), "/_ilm/status", lambda ask: Reply({"operation_mode": "RUNNING"}), READ),
        (("GET",), "/_data_stream", named.streams, READ),
        (("GET",), "/_data_stream/{name}", named.streams, READ),
        (("PUT",), "/_data_stream/{name}", named.create_stream, WRITE),
        (("DELETE",), "/_data_stream/{name}", named.drop_stream, WRITE),
        (("GET",), "/_cluster/health", cluster.health, READ),
        (("GET",), "/_cluster/health/{index}", cluster.health, READ),
        (("GET", "PUT"), "/_cluster/settings", cluster.settings, READ),
        (("GET",), "/_cluster/state", cluster.state, READ),
        (("GET",), "/_cluster/state/{metric}", cluster.state, READ),
        (("GET",), "/_cluster/state/{metric}/{index}", cluster.state, READ),
        (("GET",), "/_cluster/stats", cluster.stats, READ),
        (("GET",), "/_nodes", cluster.nodes, READ),
        (("GET",), "/_nodes/{which:path}", cluster.nodes, READ),
        (("GET",), "/_license", cluster.license, READ),
        (("GET",), "/_xpack", cluster.xpack, READ),
        (("GET",), "/_tasks", cluster.tasks, READ),
        (("GET",), "/_security/_authenticate", cluster.authenticated, READ),
        (("GET",), "/_snapshot", cluster.nothing, READ),
        (("GET",), "/_cat", cat.index, READ),
        (("GET",), "/_cat/indices", cat.indices, READ),
        (("GET",), "/_cat/indices/{index}", cat.indices, READ),
        (("GET",), "/_cat/shards", cat.shards, READ),
        (("GET",), "/_cat/shards/{index}", cat.shards, READ),
        (("GET",), "/_cat/health", cat.health, READ),
        (("GET",), "/_cat/nodes", cat.nodes, READ),
        (("GET",), "/_cat/aliases", cat.aliases, READ),
        (("GET",), "/_cat/aliases/{name}", cat.aliases, READ),
        (("GET",), "/_cat/templates", cat.templates, READ),
        (("GET",), "/_cat/templates/{name}", cat.templates, READ),
        (("GET",), "/_cat/count", cat.count, READ),
        (("GET",), "/_cat/count/{index}", cat.count, READ),
        # of an index
        (_PUTS, "/{index}/_bulk", bulked, WRITE),
        (("POST",), "/{index}/_doc", documents.index, WRITE),
        (_PUTS, "/{index}/_doc/{id}", documents.index, WRITE),
        (_PUTS, "/{index}/_create/{id}", documents.create, WRITE),
        (("POST",), "/{index}/_update/{id}", documents.update, WRITE),
        (("DELETE",), "/{index}/_doc/{id}", documents.delete, WRITE),
        (("GET", "HEAD"), "/{index}/_doc/{id}", documents.get, READ),
        (("GET", "HEAD"), "/{index}/_source/{id}", documents.source, READ),
        (_BOTH, "/{index}/_mget", documents.many, READ),
        (_BOTH, "/{index}/_search", searching.search, READ),
        (_BOTH, "/{index}/_msearch", searching.many, READ),
        (_BOTH, "/{index}/_count", searching.count, READ),
        (_BOTH, "/{index}/_validate/query", searching.validate, READ),
        (("POST",), "/{index}/_async_search", searching.search_async, READ),
        (("POST",), "/{index}/_pit", searching.point, READ),
        (_BOTH, "/{index}/_analyze", analyze, READ),
        (_BOTH, "/{index}/_field_caps", admin.field_caps, READ),
        (("GET",), "/{index}/_mapping", admin.mapping, READ),
        (("GET",), "/{index}/_mappings", admin.mapping, READ),
        (("GET",), "/{index}/_mapping/field/{fields}", admin.field_mapping, READ),
        (_PUTS, "/{index}/_mapping", admin.put_mapping, WRITE),
        (("GET",), "/{index}/_settings", admin.settings, READ),
        (("GET",), "/{index}/_settings/{name}", admin.settings, READ),
        (("PUT",), "/{index}/_settings", admin.put_settings, WRITE),
        (("GET",), "/{index}/_stats", admin.stats, READ),
        (("GET",), "/{index}/_stats/{metric}", admin.stats, READ),
        *(
            (_BOTH, f"/{{index}}/{name}", admin.refreshed, READ)
            for name in ("_refresh", "_flush", "_forcemerge", "_cache/clear")
        ),
        (("POST",), "/{index}/_open", admin.open, WRITE),
        (("POST",), "/{index}/_close", admin.close, WRITE),
        (("POST",), "/{index}/_rollover", admin.rollover, WRITE),
        (("GET", "HEAD"), "/{index}/_alias", admin.alias, READ),
        (("GET", "HEAD"), "/{index}/_alias/{name}", admin.alias, READ),
        (_PUTS, "/{index}/_alias/{name}", admin.put_alias, WRITE),
        (_PUTS, "/{index}/_aliases/{name}", admin.put_alias, WRITE),
        (("DELETE",), "/{index}/_alias/{name}", admin.drop_alias, WRITE),
        (("DELETE",), "/{index}/_aliases/{name}", admin.drop_alias, WRITE),
        (("PUT",), "/{index}", admin.create, WRITE),
        (("DELETE",), "/{index}", admin.delete, WRITE),
        (("HEAD",), "/{index}", admin.exists, READ),
        (("GET",), "/{index}", admin.get, READ),
        (("GET", "POST", "PUT", "DELETE", "HEAD"), "/{rest:path}", _nowhere, READ),
    ]
    return [
        Route(PREFIX + path, endpoint(context, handler, action), methods=list(methods))
        for methods, path, handler, action in rows
    ]


def _named(path: str, read: Handler, put: Handler, named: Named, kind: str, what: str) -> list[Row]:
    """What is registered by name: listed, read, looked for, put, let go."""
    return [
        (("GET",), path, read, READ),
        (("HEAD",), f"{path}/{{name}}", named.checker(kind), READ),
        (("GET",), f"{path}/{{name}}", read, READ),
        (_PUTS, f"{path}/{{name}}", put, WRITE),
        (("DELETE",), f"{path}/{{name}}", named.dropper(kind, what), WRITE),
    ]


def _nowhere(ask: Ask) -> Reply:
    raise argument(f"no handler found for uri [/{ask.part('rest')[:200]}] and method [{ask.method}]")
