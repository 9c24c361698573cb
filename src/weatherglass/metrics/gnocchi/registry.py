"""Policies, rules and types in the tables: what is read and written of them. Every function takes a connection."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from weatherglass.metrics.gnocchi import policies
from weatherglass.metrics.gnocchi.attributes import Change, ResourceType
from weatherglass.metrics.gnocchi.errors import Bad, Missing, Taken, no_policy, no_type
from weatherglass.metrics.gnocchi.policies import Level, Policy, Rule
from weatherglass.metrics.gnocchi.tables import HISTORY, METRICS, POLICIES, RESOURCES, RULES, TYPES

GENERIC = "generic"


# --- archive policies ------------------------------------------------------------------------------------


def _policy(row: Any) -> Policy:
    levels = tuple(Level(granularity, points) for granularity, points in json.loads(row.definition))
    return Policy(row.name, row.back_window, levels, frozenset(json.loads(row.methods)))


def _columns(policy: Policy) -> dict[str, Any]:
    return {
        "back_window": policy.back_window,
        "definition": json.dumps([[level.granularity_ns, level.points] for level in policy.levels]),
        "methods": json.dumps(sorted(policy.methods)),
    }


def all_policies(connection: sa.Connection) -> dict[str, Policy]:
    rows = connection.execute(sa.select(POLICIES).order_by(POLICIES.c.name))
    return {row.name: _policy(row) for row in rows}


def policy(connection: sa.Connection, name: str) -> Policy:
    """Raises Missing."""
    row = connection.execute(sa.select(POLICIES).where(POLICIES.c.name == name)).first()
    if row is None:
        raise no_policy(name)
    return _policy(row)


def add_policy(connection: sa.Connection, fresh: Policy) -> None:
    """Raises Taken."""
    if connection.scalar(sa.select(POLICIES.c.name).where(POLICIES.c.name == fresh.name)):
        raise Taken(f"Archive policy {fresh.name} already exists")
    connection.execute(POLICIES.insert().values(name=fresh.name, **_columns(fresh)))


def change_policy(connection: sa.Connection, name: str, body: Any) -> Policy:
    """Raises Missing, Bad."""
    changed = policies.changed(policy(connection, name), body)
    connection.execute(POLICIES.update().where(POLICIES.c.name == name).values(**_columns(changed)))
    return changed


def drop_policy(connection: sa.Connection, name: str) -> None:
    """Raises Missing, Bad."""
    policy(connection, name)
    for column in (METRICS.c.archive_policy_name, RULES.c.policy):
        if connection.scalar(sa.select(column).where(column == name).limit(1)) is not None:
            raise Bad(f"Archive policy {name} is still in use")
    connection.execute(POLICIES.delete().where(POLICIES.c.name == name))


# --- archive policy rules --------------------------------------------------------------------------------


def all_rules(connection: sa.Connection) -> list[Rule]:
    """In the order they are tried."""
    return policies.ordered(
        Rule(row.name, row.pattern, row.policy) for row in connection.execute(sa.select(RULES))
    )


def rule(connection: sa.Connection, name: str) -> Rule:
    """Raises Missing."""
    row = connection.execute(sa.select(RULES).where(RULES.c.name == name)).first()
    if row is None:
        raise Missing(f"Archive policy rule {name} does not exist")
    return Rule(row.name, row.pattern, row.policy)


def add_rule(connection: sa.Connection, fresh: Rule) -> None:
    """Raises Taken, Bad."""
    if connection.scalar(sa.select(RULES.c.name).where(RULES.c.name == fresh.name)):
        raise Taken(f"Archive policy rule {fresh.name} already exists")
    if not connection.scalar(sa.select(POLICIES.c.name).where(POLICIES.c.name == fresh.policy)):
        raise Bad({"cause": "Archive policy does not exist", "detail": fresh.policy})
    connection.execute(RULES.insert().values(name=fresh.name, pattern=fresh.pattern, policy=fresh.policy))


def rename_rule(connection: sa.Connection, name: str, to: str) -> Rule:
    """Raises Missing, Bad."""
    before = rule(connection, name)
    if name != to and connection.scalar(sa.select(RULES.c.name).where(RULES.c.name == to)):
        raise Bad(
            f"Archive policy rule {name} does not support change: Archive policy rule {to} already exists."
        )
    connection.execute(RULES.update().where(RULES.c.name == name).values(name=to))
    return Rule(to, before.pattern, before.policy)


def drop_rule(connection: sa.Connection, name: str) -> None:
    """Raises Missing."""
    rule(connection, name)
    connection.execute(RULES.delete().where(RULES.c.name == name))


# --- resource types --------------------------------------------------------------------------------------


def all_types(connection: sa.Connection) -> dict[str, ResourceType]:
    rows = connection.execute(sa.select(TYPES).order_by(TYPES.c.name))
    return {row.name: ResourceType(row.name, json.loads(row.attributes)) for row in rows}


def resource_type(connection: sa.Connection, name: str) -> ResourceType:
    """Raises Missing."""
    row = connection.execute(sa.select(TYPES).where(TYPES.c.name == name)).first()
    if row is None:
        raise no_type(name)
    return ResourceType(row.name, json.loads(row.attributes))


def types_named(connection: sa.Connection, names: Iterable[str]) -> dict[str, ResourceType]:
    rows = connection.execute(sa.select(TYPES).where(TYPES.c.name.in_(sorted(set(names)))))
    return {row.name: ResourceType(row.name, json.loads(row.attributes)) for row in rows}


def add_type(connection: sa.Connection, fresh: ResourceType) -> None:
    """Raises Taken."""
    if connection.scalar(sa.select(TYPES.c.name).where(TYPES.c.name == fresh.name)):
        raise Taken(f"Resource type {fresh.name} already exists")
    connection.execute(TYPES.insert().values(name=fresh.name, attributes=json.dumps(fresh.attributes)))


def change_type(connection: sa.Connection, change: Change) -> None:
    """The type as it is from now on; its resources, and their history, get what is filled in and lose what is lost."""
    name = change.after.name
    connection.execute(
        TYPES.update().where(TYPES.c.name == name).values(attributes=json.dumps(change.after.attributes))
    )
    if not change.fills and not change.lost:
        return
    for table, key in ((RESOURCES, RESOURCES.c.id), (HISTORY, HISTORY.c.revision)):
        rows = connection.execute(sa.select(key, table.c.attributes).where(table.c.type == name)).all()
        values = []
        for identity, before in rows:
            after = {one: value for one, value in before.items() if one not in change.lost}
            for attribute, fill in change.fills.items():
                if after.get(attribute) is None:
                    after[attribute] = fill
            values.append({"identity": identity, "after": after})
        if values:
            connection.execute(
                table.update()
                .where(key == sa.bindparam("identity"))
                .values(attributes=sa.bindparam("after", type_=sa.JSON)),
                values,
            )


def drop_type(connection: sa.Connection, name: str) -> None:
    """Raises Missing, Bad."""
    resource_type(connection, name)
    for table in (RESOURCES, HISTORY):
        if name == GENERIC or connection.scalar(sa.select(table.c.type).where(table.c.type == name).limit(1)):
            raise Bad(f"Resource type {name} is still in use")
    connection.execute(TYPES.delete().where(TYPES.c.name == name))
