"""What a cluster says of itself: one node, always green, that is Elasticsearch 9 to its clients."""

from __future__ import annotations

from typing import Any

from weatherglass.gateway.elastic.asking import Ask, Reply
from weatherglass.gateway.elastic.indices import TEMPLATE, Indices
from weatherglass.gateway.elastic.names import Lenience
from weatherglass.logs.registered import Registered

VERSION = "9.1.0"
NAME = "weatherglass"
NODE = "weatherglass-0000000000"
_UUID = "weatherglass0000000000"


class Cluster:
    def __init__(self, indices: Indices, registered: Registered) -> None:
        self._indices, self._kept = indices, registered

    def root(self, ask: Ask) -> Reply:
        return Reply(
            {
                "name": NAME,
                "cluster_name": NAME,
                "cluster_uuid": _UUID,
                "version": {
                    "number": VERSION,
                    "build_flavor": "default",
                    "build_type": "docker",
                    "build_hash": "0" * 40,
                    "build_date": "2026-01-01T00:00:00.000000000Z",
                    "build_snapshot": False,
                    "lucene_version": "10.2.2",
                    "minimum_wire_compatibility_version": "8.19.0",
                    "minimum_index_compatibility_version": "8.0.0",
                },
                "tagline": "You Know, for Search",
            }
        )

    def health(self, ask: Ask) -> Reply:
        names = self._indices.resolve(ask.tenant, ask.part("index"), Lenience(ask.params))
        made: dict[str, Any] = {
            "cluster_name": NAME,
            "status": "green",
            "timed_out": False,
            "number_of_nodes": 1,
            "number_of_data_nodes": 1,
            "active_primary_shards": len(names),
            "active_shards": len(names),
            "relocating_shards": 0,
            "initializing_shards": 0,
            "unassigned_shards": 0,
            "unassigned_primary_shards": 0,
            "delayed_unassigned_shards": 0,
            "number_of_pending_tasks": 0,
            "number_of_in_flight_fetch": 0,
            "task_max_waiting_in_queue_millis": 0,
            "active_shards_percent_as_number": 100.0,
        }
        if ask.params.get("level") in ("indices", "shards"):
            made["indices"] = {
                name: {"status": "green", "number_of_shards": 1, "number_of_replicas": 0, "active_primary_shards": 1,
                       "active_shards": 1, "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0}
                for name in names
            }  # fmt: skip
        return Reply(made)

    def settings(self, ask: Ask) -> Reply:
        kept = self._kept.get(ask.tenant, "settings", "cluster") or {"persistent": {}, "transient": {}}
        if ask.method == "PUT":
            body = ask.json()
            after = {side: {**kept[side], **(body.get(side) or {})} for side in ("persistent", "transient")}
            self._kept.put(ask.tenant, "settings", "cluster", after)
            return Reply({"acknowledged": True, **after})
        return Reply({**kept, "defaults": {}} if ask.flag("include_defaults") else dict(kept))

    def state(self, ask: Ask) -> Reply:
        names = self._indices.resolve(ask.tenant, ask.part("index"), Lenience(ask.params, by_default=True))
        rows = {name: self._indices.row(ask.tenant, name) for name in names}
        indices = {
            name: {
                "state": "close" if row.get("closed") else "open",
                "settings": {"index": row.get("settings") or {}},
                "mappings": row.get("mappings") or {},
                "aliases": list(row.get("aliases") or {}),
            }
            for name, row in rows.items()
        }
        return Reply(
            {
                "cluster_name": NAME,
                "cluster_uuid": _UUID,
                "version": 1,
                "state_uuid": _UUID,
                "master_node": NODE,
                "blocks": {},
                "nodes": {NODE: {"name": NAME, "transport_address": "127.0.0.1:9300", "roles": _ROLES}},
                "metadata": {
                    "cluster_uuid": _UUID,
                    "templates": {},
                    "indices": indices,
                    "index_templates": len(self._kept.all(ask.tenant, TEMPLATE)),
                },
                "routing_table": {
                    "indices": {
                        name: {
                            "shards": {
                                "0": [
                                    {
                                        "state": "STARTED",
                                        "primary": True,
                                        "node": NODE,
                                        "shard": 0,
                                        "index": name,
                                    }
                                ]
                            }
                        }
                        for name in names
                    }
                },
            }
        )

    def stats(self, ask: Ask) -> Reply:
        return Reply(
            {
                "cluster_name": NAME,
                "cluster_uuid": _UUID,
                "status": "green",
                "timestamp": self._indices.now_ms,
                "_nodes": _ONE,
                "indices": {"count": len(self._indices.rows(ask.tenant))},
                "nodes": {"count": {"total": 1, "data": 1}, "versions": [VERSION]},
            }
        )

    def nodes(self, ask: Ask) -> Reply:
        node = {
            "name": NAME,
            "transport_address": "127.0.0.1:9300",
            "host": "127.0.0.1",
            "ip": "127.0.0.1",
            "version": VERSION,
            "build_flavor": "default",
            "build_type": "docker",
            "build_hash": "0" * 40,
            "roles": _ROLES,
            "attributes": {},
            "settings": {"cluster": {"name": NAME}, "node": {"name": NAME}},
            "http": {"bound_address": ["127.0.0.1:9200"], "publish_address": "127.0.0.1:9200"},
            "plugins": [],
            "modules": [],
            "ingest": {"processors": []},
            "os": {"name": "Linux", "allocated_processors": 1, "available_processors": 1},
            "process": {"mlockall": False},
            "jvm": {"version": "0", "mem": {"heap_max_in_bytes": 0}},
            "fs": {"total": {"total_in_bytes": 0, "free_in_bytes": 0, "available_in_bytes": 0}, "data": []},
            "indices": {"docs": {"count": 0, "deleted": 0}, "store": {"size_in_bytes": 0}},
        }
        return Reply({"_nodes": _ONE, "cluster_name": NAME, "nodes": {NODE: node}})

    def license(self, ask: Ask) -> Reply:
        return Reply(
            {
                "license": {
                    "status": "active",
                    "uid": _UUID,
                    "type": "basic",
                    "issue_date": "2026-01-01T00:00:00.000Z",
                    "issue_date_in_millis": 1_767_225_600_000,
                    "max_nodes": 1000,
                    "issued_to": NAME,
                    "issuer": NAME,
                    "start_date_in_millis": -1,
                }
            }
        )

    def xpack(self, ask: Ask) -> Reply:
        off = {"available": False, "enabled": False}
        on = {"available": True, "enabled": True}
        return Reply(
            {
                "build": {"hash": "0" * 40, "date": "2026-01-01T00:00:00.000000000Z"},
                "license": {"uid": _UUID, "type": "basic", "mode": "basic", "status": "active"},
                "features": {
                    "data_streams": on,
                    "ilm": on,
                    "security": on,
                    "ml": off,
                    "monitoring": off,
                    "sql": off,
                },
                "tagline": "You know, for X",
            }
        )

    def tasks(self, ask: Ask) -> Reply:
        return Reply({"nodes": {}, "tasks": []})

    def authenticated(self, ask: Ask) -> Reply:
        return Reply(
            {
                "username": ask.tenant,
                "roles": [],
                "enabled": True,
                "metadata": {},
                "authentication_type": "token",
            }
        )

    def nothing(self, ask: Ask) -> Reply:
        return Reply({})


_ROLES = ["data", "ingest", "master"]
_ONE = {"total": 1, "successful": 1, "failed": 0}
