"""The store is found on the graph: cases are graphs, written as `replica@host: service < needs`."""

from __future__ import annotations

from typing import Any

import pytest

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.drill.target import choose


def graph(needs: dict[str, list[str]], volumes: dict[str, tuple[str, int]] | None = None) -> dict[str, Any]:
    """A graph as the API tells it: `needs` by service or tenant, one replica a service on host h."""
    entities: list[dict[str, Any]] = []
    edges = []
    for name, targets in needs.items():
        kind = "tenant" if name.startswith("t-") else "service"
        entities.append({"id": f"{kind}/{name}", "labels": {}, "attributes": {}})
        edges += [
            {"source": f"{kind}/{name}", "relation": "needs", "target": f"service/{one}"} for one in targets
        ]
        if kind == "service":
            replica = f"replica/{name}.1@h"
            entities.append({"id": replica, "labels": {"host": "h"}, "attributes": {}})
            edges.append({"source": replica, "relation": "part_of", "target": f"service/{name}"})
    for service, (volume, size) in (volumes or {}).items():
        entities.append({"id": f"volume/{volume}", "labels": {}, "attributes": {"size": size}})
        edges.append(
            {"source": f"replica/{service}.1@h", "relation": "attached_to", "target": f"volume/{volume}"}
        )
    return {"entities": entities, "edges": edges}


INSTITUTE = {
    "mariadb": [],
    "keystone": ["mariadb"],
    "placement": ["mariadb", "keystone"],
    "load": ["keystone"],
    "t-genomics": ["keystone"],
    "alone": [],
}


@pytest.mark.parametrize(
    ("needs", "store", "services", "tenants"),
    [
        (INSTITUTE, "mariadb", ["keystone", "placement", "load"], ["t-genomics"]),
        ({"a": [], "b": ["a"], "x": [], "y": ["x"], "z": ["y"]}, "x", ["y", "z"], []),
        ({"a": ["b"], "b": ["a"], "c": [], "d": ["c"]}, "c", ["d"], []),  # a cycle is nobody's store
        ({"a": [], "t-one": ["a"]}, "a", [], ["t-one"]),
    ],
)
def test_the_store_is_what_most_others_need(
    needs: dict[str, list[str]], store: str, services: list[str], tenants: list[str]
) -> None:
    target = choose(graph(needs))
    assert (target.service, target.replica, target.host) == (f"service/{store}", f"replica/{store}.1@h", "h")
    assert target.services == tuple(f"service/{name}" for name in services)
    assert target.tenants == tuple(f"tenant/{name}" for name in tenants)


def test_a_service_may_be_named() -> None:
    told = graph(INSTITUTE, {"mariadb": ("data", 1 << 20), "keystone": ("keys", 0)})
    assert choose(told, "keystone").services == ("service/load", "service/placement")
    assert choose(told, "service/keystone").replica == "replica/keystone.1@h"
    with pytest.raises(NotFound, match="no service mariab") as refused:
        choose(told, "mariab")
    assert "mariadb" in str(refused.value)


def test_only_a_sized_volume_can_be_filled() -> None:
    told = graph(INSTITUTE, {"mariadb": ("data", 1 << 20), "keystone": ("keys", 0)})
    assert choose(told).volume == "volume/data"
    with pytest.raises(Invalid, match="no sized volume"):
        _ = choose(told, "keystone").volume


def test_a_site_without_needs_has_no_store() -> None:
    with pytest.raises(NotFound, match="no service is needed by another"):
        choose(graph({"a": [], "b": []}))
    with pytest.raises(Invalid, match="has no replica"):
        told = graph({"a": [], "b": ["a"]})
        told["entities"] = [one for one in told["entities"] if not one["id"].startswith("replica/")]
        choose(told)
