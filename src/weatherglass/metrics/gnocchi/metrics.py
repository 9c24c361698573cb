"""Metrics in the tables: found, listed, made, given to resources, deleted. Functions take a connection."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from weatherglass.metrics.gnocchi import conditions, registry
from weatherglass.metrics.gnocchi.conditions import Source
from weatherglass.metrics.gnocchi.errors import Bad, Taken, no_metric
from weatherglass.metrics.gnocchi.filters import Filter
from weatherglass.metrics.gnocchi.model import Metric, Resource, labels_of
from weatherglass.metrics.gnocchi.policies import Policy
from weatherglass.metrics.gnocchi.tables import METRICS, POLICIES, RESOURCES

ACTIVE, DELETED = "active", "delete"
LIVING = METRICS.c.status.concat("") == ACTIVE
"""The condition beside a narrower one: in this form no index by status is taken for it, which nearly all rows have."""

_NAMES = ("id", "creator", "name", "unit", "archive_policy_name", "resource_id", "status")
_COLUMNS = {name: METRICS.c[name] for name in _NAMES}
_SLICE = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """A metric to be made: its policy is known by name, not yet known to be there."""

    name: str | None
    policy: str
    unit: str | None = None


def _metric(row: Any, policies: Mapping[str, Policy]) -> Metric:
    return Metric(
        row.id, row.tenant, row.series, row.archive_policy_name, row.creator, row.resource_id, row.name, row.unit,
        policies.get(row.archive_policy_name),
    )  # fmt: skip


def found(connection: sa.Connection, ids: Iterable[str]) -> list[Metric]:
    """The active metrics among `ids`, with their policies, by id."""
    wanted = sorted(set(ids))
    rows: list[Any] = []
    for k in range(0, len(wanted), _SLICE):
        query = sa.select(METRICS).where(METRICS.c.id.in_(wanted[k : k + _SLICE]), LIVING)
        rows += connection.execute(query).all()
    policies = registry.all_policies(connection) if rows else {}
    return [_metric(row, policies) for row in rows]


def of_resources(
    connection: sa.Connection, resources: Iterable[str], names: Iterable[str] | None = None
) -> list[Metric]:
    """The active metrics of resources (with one of `names`), with their policies."""
    wanted = sorted(set(resources))
    rows: list[Any] = []
    chosen = None if names is None else sorted(set(names))
    for k in range(0, len(wanted), _SLICE):
        query = sa.select(METRICS).where(METRICS.c.resource_id.in_(wanted[k : k + _SLICE]), LIVING)
        if chosen is not None and len(chosen) <= _SLICE:
            query = query.where(METRICS.c.name.in_(chosen))
        rows += connection.execute(query).all()
    policies = registry.all_policies(connection) if rows else {}
    # sorted here: asked of SQL, the order would lead it through all metrics by their ids
    return sorted((_metric(row, policies) for row in rows), key=lambda one: one.id)


def one(connection: sa.Connection, identity: str) -> Metric:
    """The active metric. Raises Missing."""
    metrics = found(connection, [identity])
    if not metrics:
        raise no_metric(identity)
    return metrics[0]


def listed(
    connection: sa.Connection,
    *,
    tree: Filter,
    status: str = ACTIVE,
    mine: Filter | None = None,
    of_my_resources: Filter | None = None,
    limit: int | None = None,
    marker: str | None = None,
    sorts: Sequence[str] = (),
) -> list[Metric]:
    """A page of metrics. `mine` or `of_my_resources` narrow it to what somebody may see. Raises Bad."""
    source = Source("metric", _COLUMNS, {}, 0)
    order = conditions.keys(source, sorts, ("id",))
    query = sa.select(METRICS).where(METRICS.c.status == status).order_by(*(key.order for key in order))
    if tree:
        query = query.where(conditions.where(source, tree))
    ways = []
    if mine:
        ways.append(conditions.where(source, mine))
    if of_my_resources:
        names = ("creator", "project_id", "user_id")
        owners = Source("generic", {name: RESOURCES.c[name] for name in names}, {}, 0)
        theirs = sa.select(RESOURCES.c.id).where(conditions.where(owners, of_my_resources))
        ways.append(METRICS.c.resource_id.in_(theirs))
    if ways:
        query = query.where(sa.or_(*ways))
    if marker is not None:
        row = connection.execute(
            sa.select(*(key.column.label(f"k{i}") for i, key in enumerate(order))).where(
                METRICS.c.id == marker
            )
        ).first()
        if row is None:
            raise Bad(f"Invalid pagination: `Invalid marker: `{marker}''")
        query = query.where(conditions.beyond(order, list(row)))
    if limit is not None:
        query = query.limit(limit)
    rows = connection.execute(query).all()
    policies = registry.all_policies(connection) if rows else {}
    return [_metric(row, policies) for row in rows]


def create(
    connection: sa.Connection,
    wanted: Sequence[Wanted],
    *,
    creator: str | None,
    tenant: str,
    resource: Resource | None = None,
) -> list[Metric]:
    """New metrics, of a resource where one is given. Raises Bad for a policy that is not there, Taken for a name."""
    names = {one.policy for one in wanted}
    there = set(connection.scalars(sa.select(POLICIES.c.name).where(POLICIES.c.name.in_(names))))
    if missing := sorted(names - there):
        raise Bad(f"Archive policy {missing[0]} does not exist")
    if resource is not None:
        taken = {one.name for one in of_resources(connection, [resource.id], [w.name or "" for w in wanted])}
        if twice := sorted(str(one.name) for one in wanted if one.name in taken):
            raise name_taken(twice[0])
    fresh = []
    for one in wanted:
        identity = str(uuid.uuid4())
        fresh.append(
            Metric(
                identity, tenant, json.dumps(labels_of(identity, one.name, resource, one.unit)), one.policy, creator,
                resource.id if resource else None, one.name, one.unit,
            )
        )  # fmt: skip
    if fresh:
        connection.execute(METRICS.insert(), [_row(metric) for metric in fresh])
    return fresh


def _row(metric: Metric) -> dict[str, Any]:
    return {
        "id": metric.id,
        "tenant": metric.tenant,
        "series": metric.series,
        "archive_policy_name": metric.policy_name,
        "creator": metric.creator,
        "resource_id": metric.resource_id,
        "name": metric.name,
        "unit": metric.unit,
        "status": ACTIVE,
    }


def name_taken(name: str) -> Taken:
    return Taken({"cause": "Named metric already exists", "detail": name})


def attach(connection: sa.Connection, resource: Resource, name: str, identity: str) -> None:
    """A metric becomes the resource's, under `name`. Raises Bad, Taken."""
    metric = next((one for one in found(connection, [identity]) if one.creator == resource.creator), None)
    if metric is None:
        raise Bad(f"Metric {identity} does not exist")
    if any(one.id != identity for one in of_resources(connection, [resource.id], [name])):
        raise name_taken(name)
    after = replace(
        metric,
        name=name,
        resource_id=resource.id,
        series=json.dumps(labels_of(identity, name, resource, metric.unit)),
    )
    values = {key: value for key, value in _row(after).items() if key in ("name", "resource_id", "series")}
    connection.execute(METRICS.update().where(METRICS.c.id == identity).values(**values))


def detach_all(connection: sa.Connection, resource: str) -> None:
    """The resource has no metrics; they stay, without one."""
    connection.execute(
        METRICS.update().where(METRICS.c.resource_id == resource, LIVING).values(resource_id=None)
    )


def move(connection: sa.Connection, identity: str, policy: str) -> None:
    """The metric is aggregated by another policy from now on, its whole past too."""
    connection.execute(METRICS.update().where(METRICS.c.id == identity).values(archive_policy_name=policy))


def mark_deleted(connection: sa.Connection, condition: Any) -> int:
    """Metrics that nobody sees any more; the janitor takes them away. How many."""
    return connection.execute(
        METRICS.update().where(condition, LIVING).values(status=DELETED, resource_id=None)
    ).rowcount


def deleted(connection: sa.Connection, limit: int = 1000) -> list[tuple[str, str]]:
    """(id, tenant) of metrics that wait for the janitor."""
    rows = connection.execute(
        sa.select(METRICS.c.id, METRICS.c.tenant).where(METRICS.c.status == DELETED).limit(limit)
    )
    return [(row.id, row.tenant) for row in rows]


def expunge(connection: sa.Connection, ids: Sequence[str]) -> None:
    for k in range(0, len(ids), _SLICE):
        connection.execute(METRICS.delete().where(METRICS.c.id.in_(ids[k : k + _SLICE])))
