"""The inventory on real tables: what is there, what was there, in what state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from weatherglass.base.errors import Corrupt, NotFound
from weatherglass.base.ids import EntityId
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.tables import Tables
from weatherglass.inventory import (
    METADATA,
    MIGRATIONS,
    Evidence,
    Incident,
    Inventory,
    Moment,
    State,
    StateRecord,
    incident_from_json,
    incident_to_json,
)
from weatherglass.site import Edge, Entity, Graph

T = 1_800_000_000 * SECOND_NS
ROOMS = {"inventory": (METADATA, MIGRATIONS)}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    found = Tables(tmp_path / "tables.db")
    found.migrate(ROOMS)
    yield found
    found.close()


def made(tables: Tables) -> Inventory:
    return Inventory(tables, LocalBus(), ManualClock(T))


def one(name: str, **attributes: object) -> Entity:
    kind, _, rest = name.partition("/")
    return Entity(EntityId(name), kind, rest, {"site": "s", kind: rest}, attributes)


def graph(*names: str, edges: tuple[tuple[str, str, str], ...] = ()) -> Graph:
    return Graph(
        {EntityId(name): one(name) for name in names},
        tuple(Edge(EntityId(a), relation, EntityId(b)) for a, relation, b in edges),
    )


def state(name: str, word: State, at_ns: int, **more: object) -> StateRecord:
    return StateRecord(EntityId(name), word, at_ns, at_ns, **more)  # type: ignore[arg-type]


def test_migrations_and_metadata_agree(tables: Tables) -> None:
    assert tables.differences(ROOMS) == []


def test_the_graph_is_what_it_was_at_any_time(tables: Tables) -> None:
    inventory = made(tables)
    inventory.declare(graph("host/a", "service/x", edges=(("service/x", "runs_on", "host/a"),)), 1, T)
    inventory.declare(graph("host/a", "service/y"), 2, T + 10)
    assert set(inventory.graph().entities) == {"host/a", "service/y"}
    assert set(inventory.graph(T).entities) == set(inventory.graph(T + 9).entities) == {"host/a", "service/x"}
    assert inventory.graph(T + 9).parents(EntityId("service/x")) == ("host/a",)
    assert not inventory.graph(T - 1).entities
    assert inventory.graph(T + 10).edges == ()
    told = [(c.at_ns - T, c.before, c.after) for c in inventory.changes(T + 1, T + 11) if c.what == "entity"]
    assert sorted(told) == [(10, "", "service/y"), (10, "service/x", "")]


def test_what_was_seen_joins_what_is_declared_and_ends_with_its_source(tables: Tables) -> None:
    inventory = made(tables)
    inventory.declare(graph("host/a"), 1, T)
    inventory.seen(
        [one("host/a", cores=2), one("device/sda")],
        [Edge(EntityId("host/a"), "needs", EntityId("device/sda"), "seen")],
        "agent-a",
        T + 1,
    )
    assert inventory.entity("host/a").attributes == {"cores": 2}
    assert [edge.known_from for edge in inventory.graph().edges] == ["seen"]
    inventory.declare(graph("host/a", "host/b"), 2, T + 2)
    assert set(inventory.graph().entities) == {"host/a", "host/b", "device/sda"}
    inventory.seen([], [], "agent-a", T + 3)
    assert set(inventory.graph().entities) == {"host/a", "host/b"}
    assert inventory.entity("host/a").attributes == {}


def test_states_are_kept_by_their_turns(tables: Tables) -> None:
    bus = LocalBus()
    told = bus.subscribe("state")
    inventory = Inventory(tables, bus, ManualClock(T))
    inventory.declare(graph("service/x", "service/y"), 1, T)
    because = (Evidence("probe", "3 of 5 probes failed.", 0.6, 0.4, "share", T + 5),)
    inventory.publish_state(state("service/x", State.HEALTHY, T))
    inventory.publish_state(state("service/x", State.HEALTHY, T))
    inventory.publish_state(state("service/x", State.SICK, T + 5, evidence=because))
    assert [told.get(0)[1]["state"] for _ in range(2)] == ["healthy", "sick"]  # type: ignore[index]
    assert told.get(0) is None
    assert inventory.state("service/x").evidence == because
    assert inventory.states()[EntityId("service/y")].state is State.UNKNOWN
    assert inventory.states(T + 4)[EntityId("service/x")].state is State.HEALTHY
    history = inventory.state_history("service/x", T, T + 100)
    assert [(r.state.value, r.since_ns - T, r.at_ns - T) for r in history] == [
        ("healthy", 0, 5),
        ("sick", 5, 100),
    ]
    assert inventory.state_history("service/x", T + 6, T + 7)[0].evidence == because


def test_the_next_house_on_the_same_state_knows_the_same(tables: Tables) -> None:
    inventory = made(tables)
    inventory.declare(graph("service/x"), 1, T)
    inventory.publish_state(state("service/x", State.DEAD, T, kind="intrinsic"))
    inventory.publish_incident(Incident(inventory.next_incident(), T, cause="service/x"))
    again = made(tables)
    assert again.graph() == inventory.graph()
    assert again.state("service/x").state is State.DEAD
    again.publish_state(state("service/x", State.HEALTHY, T + 9))
    assert [r.state for r in again.state_history("service/x", 0, T + 99)] == [State.DEAD, State.HEALTHY]
    assert again.next_incident() == 2


def test_a_clock_that_steps_back_leaves_no_state_that_ends_before_it_began(tables: Tables) -> None:
    inventory = made(tables)
    inventory.publish_state(state("service/x", State.HEALTHY, T))
    inventory.publish_state(state("service/x", State.SICK, T - 60 * SECOND_NS))
    history = inventory.state_history("service/x", T - 99 * SECOND_NS, T + 1)
    assert all(record.since_ns <= record.at_ns for record in history)
    assert made(tables).state("service/x").state is State.SICK


def test_incidents_keep_their_story(tables: Tables) -> None:
    inventory = made(tables)
    incident = Incident(
        id=inventory.next_incident(),
        opened_ns=T,
        cause="replica/db.1@a",
        affected=(EntityId("replica/db.1@a"), EntityId("service/x")),
        moments=(Moment(T, "First sign", "db exited.", (EntityId("replica/db.1@a"),)),),
        evidence={"service/x": (Evidence("probe", "no answer"),)},
        remedies=({"action": "deploy.restart", "at_ns": T},),
        parts=("Dead: ", ("service/x", "x"), "."),
    )
    inventory.publish_incident(incident)
    inventory.publish_incident(incident)
    assert inventory.incident(1) == incident
    assert inventory.incidents(open_only=True) == [incident]
    with pytest.raises(NotFound):
        inventory.incident(2)
    with pytest.raises(Corrupt):
        incident_from_json({**incident_to_json(incident), "version": 99})


def test_search_finds_by_words_and_puts_the_name_itself_first(tables: Tables) -> None:
    inventory = made(tables)
    inventory.declare(graph("service/keystone", "replica/keystone.1@a", "host/a", "tenant/keys"), 1, T)
    assert [e.id for e in inventory.search("keystone")] == ["service/keystone", "replica/keystone.1@a"]
    assert [e.id for e in inventory.search("replica a")] == ["replica/keystone.1@a"]
    assert inventory.search("nothing of this kind") == []


def test_ten_thousand_entities_stay_quick(tables: Tables) -> None:
    hosts = [f"host/h{n}" for n in range(1000)]
    replicas = [f"replica/s.{n}@h{n % 1000}" for n in range(9000)]
    edges = tuple((name, "runs_on", f"host/{name.partition('@')[2]}") for name in replicas)
    inventory = made(tables)
    large = graph(*hosts, *replicas, edges=edges)
    took = {}

    def timed(name: str, call: object, *args: object) -> object:
        start = time.process_time()
        result = call(*args)  # type: ignore[operator]
        took[name] = time.process_time() - start
        return result

    timed("declare", inventory.declare, large, 1, T)
    timed("declare the same", inventory.declare, large, 2, T + 1)
    records = [state(name, State.HEALTHY, T) for name in (*hosts, *replicas)]
    timed("publish", inventory.publish_states, records)
    timed("publish the same", inventory.publish_states, records)
    assert len(timed("graph in the past", inventory.graph, T).entities) == 10_000  # type: ignore[attr-defined]
    assert timed("search", inventory.search, "s.8999@h999")
    assert len(timed("downstream", inventory.graph().downstream, EntityId("host/h1"))) == 9  # type: ignore[arg-type]
    bounds = {"declare": 5, "publish": 5, "declare the same": 1, "publish the same": 0.5,
              "graph in the past": 3, "search": 0.5, "downstream": 0.5}  # fmt: skip
    assert {name: seconds for name, seconds in took.items() if seconds > bounds[name]} == {}
