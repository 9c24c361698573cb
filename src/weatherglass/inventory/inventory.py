"""What is there: the declared graph joined with what was seen, states and incidents, each with its history.

One owner of this state a house. The present is held in memory as immutable values and read without waiting; the
past is read from tables. What is right or wrong with an entity is health's to say, not decided here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from weatherglass.base.errors import NotFound
from weatherglass.base.ids import EntityId, kind_of, name_of
from weatherglass.base.time import Clock
from weatherglass.engine.protocols import Bus
from weatherglass.engine.tables import Tables
from weatherglass.inventory.model import (
    Evidence,
    Incident,
    State,
    StateRecord,
    evidence_from_json,
    evidence_to_json,
    incident_from_json,
    incident_to_json,
)
from weatherglass.inventory.tables import EDGES, ENTITIES, INCIDENTS, STATES
from weatherglass.site import Edge, Entity, Graph

DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that became different: an entity or an edge came or went, a state turned."""

    at_ns: int
    what: str  # entity | edge | state
    entity: EntityId
    before: str
    after: str


class Inventory:
    """The one place where rooms read what is there and how it is. Any thread may call any method."""

    def __init__(self, tables: Tables, bus: Bus, clock: Clock) -> None:
        """`tables` are migrated already (`METADATA`, `MIGRATIONS`). Reads the present from them."""
        self._tables, self._bus, self._clock = tables, bus, clock
        self._lock = threading.Lock()  # one writer at a time; never held while the bus is told
        self._entities: dict[tuple[str, EntityId], tuple[int, str]] = {}  # (known from, id) → (row, body)
        self._edges: dict[tuple[str, EntityId, str, EntityId], int] = {}
        self._states: dict[EntityId, StateRecord] = {}
        self._open_states: dict[EntityId, int] = {}
        self._graph = Graph({}, ())
        with tables.read() as connection:
            self._read_present(connection)

    # --- the graph ---------------------------------------------------------------------------------------

    def declare(self, graph: Graph, generation: int, at_ns: int) -> None:
        """From `at_ns` on this is the declared graph; what it no longer has ends then."""
        self._replace(DECLARED, graph.entities.values(), graph.edges, generation, at_ns)

    def seen(self, entities: Iterable[Entity], edges: Iterable[Edge], source: str, at_ns: int) -> None:
        """All that `source` (an agent, a driver) sees now; what it saw before and does not see now ends."""
        self._replace(f"seen:{source}", entities, edges, 0, at_ns)

    def graph(self, at_ns: int | None = None) -> Graph:
        """The graph now, or as it was. Now is an immutable value that is kept; the past is read."""
        if at_ns is None:
            return self._graph
        with self._tables.read() as connection:
            entities = connection.execute(_valid(ENTITIES, at_ns)).all()
            edges = connection.execute(_valid(EDGES, at_ns)).all()
        return _joined(
            [(row.known_from, row.entity, row.body) for row in entities],
            [(row.known_from, row.source, row.relation, row.target) for row in edges],
        )

    def entity(self, entity_id: str) -> Entity:
        """Raises NotFound."""
        found = self._graph.entities.get(EntityId(entity_id))
        if found is None:
            raise NotFound(f"there is no entity {entity_id}", mend="search for it; names are kind/name")
        return found

    def search(self, text: str, limit: int = 20) -> list[Entity]:
        """Entities whose name, kind or labels hold all words of `text`, the best match first."""
        words = text.lower().split()
        ranked = []
        for one in self._graph.entities.values():
            hay = f"{one.id} {' '.join(one.labels.values())}".lower()
            if all(word in hay for word in words):
                first = words[0] if words else ""
                ranked.append(
                    (one.name != first, not one.name.startswith(first), first not in one.id, one.id)
                )
        return [self._graph.entities[key[-1]] for key in sorted(ranked)[:limit]]

    # --- states ------------------------------------------------------------------------------------------

    def publish_state(self, record: StateRecord) -> None:
        """This is its state now. Durable when state, kind or cause differ from before; evidence alone is kept here."""
        self.publish_states((record,))

    def publish_states(self, records: Sequence[StateRecord]) -> None:
        """Many at once, in one transaction."""
        with self._lock:
            turned = []
            for record in records:
                before = self._states.get(record.entity)
                if before is None or _turn(before) != _turn(record):
                    turned.append(record)
            if turned:
                with self._tables.write() as connection:
                    self._turn(connection, turned)
            self._states.update((record.entity, record) for record in records)
        for record in turned:
            self._bus.publish(
                "state",
                {"entity": record.entity, "state": record.state.value, "kind": record.kind,
                 "because": record.because, "since_ns": record.since_ns, "at_ns": record.at_ns},
            )  # fmt: skip

    def state(self, entity_id: str) -> StateRecord:
        """The state now; unknown, since ever, where nobody said anything."""
        found = self._states.get(EntityId(entity_id))
        return found or StateRecord(EntityId(entity_id), State.UNKNOWN, 0, 0)

    def states(self, at_ns: int | None = None) -> dict[EntityId, StateRecord]:
        """Every entity's state, now or as it was."""
        if at_ns is None:
            known = self._states.copy()
            return {one: known.get(one) or self.state(one) for one in self._graph.entities}
        with self._tables.read() as connection:
            rows = connection.execute(_valid(STATES, at_ns)).all()
        return {record.entity: record for record in (_record(row, at_ns) for row in rows)}

    def state_history(self, entity_id: str, start_ns: int, end_ns: int) -> list[StateRecord]:
        """The states held between two instants, oldest first; `at_ns` is where each ended."""
        query = (
            sa.select(STATES)
            .where(
                STATES.c.entity == entity_id,
                STATES.c.start_ns < end_ns,
                sa.or_(STATES.c.end_ns.is_(None), STATES.c.end_ns > start_ns),
            )
            .order_by(STATES.c.start_ns, STATES.c.row)
        )
        with self._tables.read() as connection:
            return [_record(row, row.end_ns or end_ns) for row in connection.execute(query)]

    # --- incidents ---------------------------------------------------------------------------------------

    def next_incident(self) -> int:
        """The number of the next incident."""
        with self._tables.read() as connection:
            return 1 + (connection.scalar(sa.select(sa.func.max(INCIDENTS.c.id))) or 0)

    def publish_incident(self, incident: Incident) -> None:
        """Durable on return; replaces what was known of the incident with this number."""
        row = {
            "id": incident.id,
            "opened_ns": incident.opened_ns,
            "closed_ns": incident.closed_ns,
            "body": json.dumps(incident_to_json(incident)),
        }
        with self._lock, self._tables.write() as connection:
            connection.execute(sa.delete(INCIDENTS).where(INCIDENTS.c.id == incident.id))
            connection.execute(sa.insert(INCIDENTS), row)
        self._bus.publish(
            "incident", {"id": incident.id, "state": incident.state, "sentence": incident.sentence}
        )

    def incidents(self, open_only: bool = False, limit: int = 100) -> list[Incident]:
        """Newest first."""
        query = sa.select(INCIDENTS.c.body).order_by(INCIDENTS.c.id.desc()).limit(limit)
        if open_only:
            query = query.where(INCIDENTS.c.closed_ns == 0)
        with self._tables.read() as connection:
            return [incident_from_json(json.loads(body)) for body in connection.scalars(query)]

    def incident(self, number: int) -> Incident:
        """Raises NotFound."""
        with self._tables.read() as connection:
            body = connection.scalar(sa.select(INCIDENTS.c.body).where(INCIDENTS.c.id == number))
        if body is None:
            raise NotFound(f"there is no incident {number}")
        return incident_from_json(json.loads(body))

    # --- history -----------------------------------------------------------------------------------------

    def changes(self, start_ns: int, end_ns: int, limit: int = 1000) -> list[Change]:
        """What became different between two instants, oldest first."""
        found: list[Change] = []
        with self._tables.read() as connection:
            for table, what in ((ENTITIES, "entity"), (EDGES, "edge"), (STATES, "state")):
                for row in connection.execute(_moved(table, start_ns, end_ns, limit)):
                    found += _changes(row, what, start_ns, end_ns)
        return sorted(found, key=lambda change: change.at_ns)[:limit]

    # --- inside ------------------------------------------------------------------------------------------

    def _read_present(self, connection: sa.Connection) -> None:
        for row in connection.execute(sa.select(ENTITIES).where(ENTITIES.c.end_ns.is_(None))):
            self._entities[row.known_from, row.entity] = (row.row, row.body)
        for row in connection.execute(sa.select(EDGES).where(EDGES.c.end_ns.is_(None))):
            self._edges[row.known_from, row.source, row.relation, row.target] = row.row
        for row in connection.execute(sa.select(STATES).where(STATES.c.end_ns.is_(None))):
            self._states[row.entity] = _record(row, row.start_ns)
            self._open_states[row.entity] = row.row
        self._publish_graph()

    def _publish_graph(self) -> None:
        self._graph = _joined(
            [(source, entity_id, body) for (source, entity_id), (_, body) in self._entities.items()],
            list(self._edges),
        )

    def _replace(
        self, known_from: str, entities: Iterable[Entity], edges: Iterable[Edge], generation: int, at_ns: int
    ) -> None:
        wanted = {(known_from, one.id): _body(one) for one in entities}
        joined = {(known_from, edge.source, edge.relation, edge.target) for edge in edges}
        with self._lock:
            mine = {key: held for key, held in self._entities.items() if key[0] == known_from}
            old_edges = {key: row for key, row in self._edges.items() if key[0] == known_from}
            ended = [key for key, (_, body) in mine.items() if wanted.get(key) != body]
            began = [key for key, body in wanted.items() if key not in mine or mine[key][1] != body]
            gone, came = [key for key in old_edges if key not in joined], sorted(joined - old_edges.keys())
            if not (ended or began or gone or came):
                return
            with self._tables.write() as connection:
                _end(connection, ENTITIES, [mine[key][0] for key in ended], at_ns)
                _end(connection, EDGES, [old_edges[key] for key in gone], at_ns)
                span = {"generation": generation, "start_ns": at_ns}
                rows = _insert(
                    connection,
                    ENTITIES,
                    [
                        {"entity": key[1], "known_from": known_from, "body": wanted[key], **span}
                        for key in began
                    ],
                )
                edge_rows = _insert(
                    connection,
                    EDGES,
                    [dict(zip(("known_from", "source", "relation", "target"), key, strict=True)) | span for key in came],
                )  # fmt: skip
            for key in ended:
                del self._entities[key]
            for edge in gone:
                del self._edges[edge]
            self._entities.update((key, (row, wanted[key])) for key, row in zip(began, rows, strict=True))
            self._edges.update(zip(came, edge_rows, strict=True))
            self._publish_graph()
        self._bus.publish(
            "inventory", {"known_from": known_from, "generation": generation, "at_ns": at_ns,
                          "entities": len(began) + len(ended), "edges": len(gone) + len(came)},
        )  # fmt: skip

    def _turn(self, connection: sa.Connection, turned: Sequence[StateRecord]) -> None:
        by_time: dict[int, list[int]] = {}
        for record in turned:
            if record.entity in self._open_states:
                by_time.setdefault(record.since_ns, []).append(self._open_states[record.entity])
        for at_ns, rows in by_time.items():
            _end(connection, STATES, rows, at_ns)
        rows = _insert(
            connection,
            STATES,
            [
                {"entity": one.entity, "state": one.state.value, "kind": one.kind, "because": one.because,
                 "evidence": json.dumps(evidence_to_json(one.evidence)), "start_ns": one.since_ns}
                for one in turned
            ],
        )  # fmt: skip
        self._open_states.update((one.entity, row) for one, row in zip(turned, rows, strict=True))


def _turn(record: StateRecord) -> tuple[str, str, str]:
    return record.state.value, record.kind, record.because


def _body(one: Entity) -> str:
    return json.dumps({"labels": dict(one.labels), "attributes": dict(one.attributes)}, sort_keys=True)


def _record(row: Any, at_ns: int) -> StateRecord:
    evidence: tuple[Evidence, ...] = evidence_from_json(json.loads(row.evidence))
    return StateRecord(row.entity, State(row.state), row.start_ns, at_ns, evidence, row.kind, row.because)


def _joined(
    entities: Sequence[tuple[str, EntityId, str]], edges: Sequence[tuple[str, EntityId, str, EntityId]]
) -> Graph:
    """Declared and seen as one: what is declared wins, what was seen adds."""
    found: dict[EntityId, Entity] = {}
    for _, entity_id, body in sorted(entities, key=lambda row: row[0] != DECLARED):
        told: dict[str, Mapping[str, Any]] = json.loads(body)
        if entity_id in found:
            one = found[entity_id]
            found[entity_id] = replace(
                one,
                labels={**told["labels"], **one.labels},
                attributes={**told["attributes"], **one.attributes},
            )
        else:
            found[entity_id] = Entity(entity_id, kind_of(entity_id), name_of(entity_id), **told)
    joined: dict[tuple[EntityId, str, EntityId], Edge] = {}
    for known_from, source, relation, target in sorted(edges, key=lambda row: row[0] != DECLARED):
        if source in found and target in found:
            told_by = DECLARED if known_from == DECLARED else "seen"
            joined.setdefault((source, relation, target), Edge(source, relation, target, told_by))
    return Graph(found, tuple(joined.values()))


def _valid(table: sa.Table, at_ns: int) -> sa.Select[Any]:
    return (
        sa.select(table)
        .where(table.c.start_ns <= at_ns, sa.or_(table.c.end_ns.is_(None), table.c.end_ns > at_ns))
        .order_by(table.c.row)
    )


def _moved(table: sa.Table, start_ns: int, end_ns: int, limit: int) -> sa.Select[Any]:
    return (
        sa.select(table)
        .where(
            sa.or_(
                table.c.start_ns.between(start_ns, end_ns - 1), table.c.end_ns.between(start_ns, end_ns - 1)
            )
        )
        .order_by(table.c.row.desc())
        .limit(limit)
    )


def _changes(row: Any, what: str, start_ns: int, end_ns: int) -> list[Change]:
    entity = row.source if what == "edge" else row.entity
    if what == "edge":
        shown = f"{row.source} {row.relation} {row.target}"
    else:
        shown = row.state if what == "state" else row.entity
    found = []
    if start_ns <= row.start_ns < end_ns:
        found.append(Change(row.start_ns, what, entity, "", shown))
    if what != "state" and row.end_ns is not None and start_ns <= row.end_ns < end_ns:
        found.append(Change(row.end_ns, what, entity, shown, ""))
    return found


def _end(connection: sa.Connection, table: sa.Table, rows: Sequence[int], at_ns: int) -> None:
    """Close rows. A clock that stepped back closes a row where it began, never before."""
    for first in range(0, len(rows), 500):
        connection.execute(
            sa.update(table)
            .where(table.c.row.in_(rows[first : first + 500]))
            .values(end_ns=sa.case((table.c.start_ns > at_ns, table.c.start_ns), else_=at_ns))
        )


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> list[int]:
    """Insert and return the row numbers, given here because there is one writer (one `max` instead of n `returning`)."""
    if not rows:
        return []
    first = 1 + (connection.scalar(sa.select(sa.func.max(table.c.row))) or 0)
    numbers = list(range(first, first + len(rows)))
    connection.execute(
        sa.insert(table), [{"row": number, **row} for number, row in zip(numbers, rows, strict=True)]
    )
    return numbers
