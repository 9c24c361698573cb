"""Resources in the tables: found, listed with their history, made, changed, deleted. Functions take a connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from weatherglass.metrics.gnocchi import conditions
from weatherglass.metrics.gnocchi import metrics as metric_rows
from weatherglass.metrics.gnocchi.attributes import ResourceType
from weatherglass.metrics.gnocchi.conditions import Source
from weatherglass.metrics.gnocchi.errors import Bad, Taken, no_resource
from weatherglass.metrics.gnocchi.filters import Filter
from weatherglass.metrics.gnocchi.model import CURRENT, Resource
from weatherglass.metrics.gnocchi.registry import GENERIC, types_named
from weatherglass.metrics.gnocchi.tables import HISTORY, METRICS, RESOURCES
from weatherglass.metrics.gnocchi.times import shown_us

ORDER = ("revision_start:asc", "started_at:asc")
_COMMON = (
    "id", "type", "creator", "original_resource_id", "user_id", "project_id",
    "started_at", "ended_at", "revision_start", "attributes",
)  # fmt: skip
_SETTABLE = ("user_id", "project_id", "started_at", "ended_at")
_DATES = dict.fromkeys(("started_at", "ended_at", "revision_start", "revision_end"), "datetime")
_CASTS = {"number": "as_float", "bool": "as_boolean", "datetime": "as_integer"}


def _resource(row: Any, about: ResourceType) -> Resource:
    return Resource(
        row.id, row.type, row.creator, row.original_resource_id, row.user_id, row.project_id,
        row.started_at, row.ended_at, row.revision_start,
        getattr(row, "revision_end", None), getattr(row, "revision", CURRENT), row.attributes, about,
    )  # fmt: skip


def source(about: ResourceType, now_ns: int, table: Any = RESOURCES) -> Source:
    """What lists of this type's resources may name."""
    columns = {name: table.c[name] for name in (*_COMMON, "revision", "revision_end") if name in table.c}
    del columns["attributes"]
    kinds = dict(_DATES)
    for name, one in about.attributes.items():
        kinds[name] = one["type"]
        columns[name] = getattr(table.c.attributes[name], _CASTS.get(one["type"], "as_string"))()
    return Source(about.name, columns, kinds, now_ns)


def _with_history() -> Any:
    """Every revision, the present one too, as one table."""
    names = list(_COMMON)
    past = sa.select(*(HISTORY.c[name] for name in names), HISTORY.c.revision_end, HISTORY.c.revision)
    present = sa.select(
        *(RESOURCES.c[name] for name in names),
        sa.cast(sa.null(), sa.BigInteger).label("revision_end"),
        sa.literal(CURRENT).label("revision"),
    )
    return sa.union_all(past, present).subquery("revisions")


def get(
    connection: sa.Connection, about: ResourceType, resource: str, *, metrics: bool = False
) -> Resource | None:
    """The resource of this type, or None."""
    query = sa.select(RESOURCES).where(RESOURCES.c.id == resource)
    if about.name != GENERIC:
        query = query.where(RESOURCES.c.type == about.name)
    row = connection.execute(query).first()
    if row is None:
        return None
    found = _resource(row, about)
    return with_metrics(connection, [found])[0] if metrics else found


def needed(
    connection: sa.Connection, about: ResourceType, resource: str, *, metrics: bool = False
) -> Resource:
    """Raises Missing."""
    found = get(connection, about, resource, metrics=metrics)
    if found is None:
        raise no_resource(resource)
    return found


def with_metrics(connection: sa.Connection, resources: Sequence[Resource]) -> list[Resource]:
    """The resources with the names and ids of their metrics, looked up once for all."""
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for ids in _slices(sorted({one.id for one in resources})):
        query = sa.select(METRICS.c.resource_id, METRICS.c.name, METRICS.c.id).where(
            METRICS.c.resource_id.in_(ids), metric_rows.LIVING
        )
        for resource, name, metric in connection.execute(query):
            names[resource][name] = metric
    return [replace(one, metrics=names.get(one.id, {})) for one in resources]


def _slices(values: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    return (values[k : k + size] for k in range(0, len(values), size))


def listed(
    connection: sa.Connection,
    about: ResourceType,
    now_ns: int,
    *,
    tree: Filter | None = None,
    details: bool = False,
    history: bool = False,
    limit: int | None = None,
    marker: str | None = None,
    sorts: Sequence[str] = (),
) -> list[Resource]:
    """A page of resources with their metrics. Raises Bad."""
    table: Any = _with_history() if history else RESOURCES
    origin = source(about, now_ns, table)
    order = conditions.keys(origin, sorts, ("id", "revision") if history else ("id",))
    query = sa.select(table).order_by(*(key.order for key in order))
    if about.name != GENERIC:
        query = query.where(table.c.type == about.name)
    if tree:
        query = query.where(conditions.where(origin, tree))
    if marker is not None:
        query = query.where(conditions.beyond(order, _marker(connection, table, order, marker)))
    if limit is not None:
        query = query.limit(limit)
    rows = connection.execute(query).all()
    kinds = types_named(connection, (row.type for row in rows)) if details else {}
    found = [_resource(row, kinds.get(row.type, about)) for row in rows]
    return with_metrics(connection, found)


def _marker(connection: sa.Connection, table: Any, order: Sequence[conditions.Key], marker: str) -> list[Any]:
    """The keys of the row that a page begins after. Raises Bad."""
    query = sa.select(*(key.column.label(f"k{i}") for i, key in enumerate(order)))
    if "revision" in table.c:
        resource, _, revision = marker.partition("@")
        try:
            query = query.where(table.c.id == resource, table.c.revision == int(revision))
        except ValueError:
            raise _lost(marker) from None
    else:
        query = query.where(table.c.id == marker)
    row = connection.execute(query).first()
    if row is None:
        raise _lost(marker)
    return list(row)


def _lost(marker: str) -> Bad:
    return Bad(f"Invalid pagination: `Invalid marker: `{marker}''")


# --- writing ---------------------------------------------------------------------------------------------


def create(
    connection: sa.Connection,
    about: ResourceType,
    body: Mapping[str, Any],
    creator: str | None,
    now_us: int,
) -> Resource:
    """A new resource without metrics. `body` is checked; its `id` is (as given, UUID). Raises Taken, Bad."""
    original, identity = body["id"]
    started = body.get("started_at", now_us)
    if body.get("ended_at") is not None and body.get("started_at") is not None and started > body["ended_at"]:
        raise Bad("Start timestamp cannot be after end timestamp")
    if connection.scalar(sa.select(RESOURCES.c.id).where(RESOURCES.c.id == identity)):
        raise Taken(f"Resource {identity} already exists")
    row = {
        "id": identity,
        "type": about.name,
        "creator": creator,
        "original_resource_id": original,
        "user_id": body.get("user_id"),
        "project_id": body.get("project_id"),
        "started_at": started,
        "ended_at": body.get("ended_at"),
        "revision_start": now_us,
        "attributes": {name: body[name] for name in about.attributes if name in body},
    }
    connection.execute(RESOURCES.insert().values(**row))
    return Resource(**row, revision_end=None, revision=CURRENT, about=about, metrics={})


def change(connection: sa.Connection, before: Resource, body: Mapping[str, Any], now_us: int) -> Resource:
    """The resource after a PATCH; a revision is kept where anything but its metrics changes. Raises Bad."""
    about = before.about
    common = {name: body[name] for name in _SETTABLE if name in body}
    own = {name: body[name] for name in about.attributes if name in body}
    if all(getattr(before, name) == value for name, value in common.items()) and all(
        before.attributes.get(name) == value for name, value in own.items()
    ):
        return before
    after = replace(
        before,
        **common,
        attributes={**before.attributes, **own},
        # two changes within one tick of the clock are two revisions all the same
        revision_start=max(now_us, before.revision_start + 1),
    )
    if after.ended_at is not None and after.started_at > after.ended_at:
        raise Bad(
            f"Value {shown_us(after.ended_at)} for attribute ended_at on resource type {about.name} is invalid"
        )
    row = connection.execute(sa.select(RESOURCES).where(RESOURCES.c.id == before.id)).one()
    kept = {name: getattr(row, name) for name in _COMMON}
    connection.execute(HISTORY.insert().values(**kept, revision_end=after.revision_start))
    connection.execute(
        RESOURCES.update()
        .where(RESOURCES.c.id == before.id)
        .values(**common, attributes={**row.attributes, **own}, revision_start=after.revision_start)
    )
    return after


def delete(connection: sa.Connection, identity: str) -> list[str]:
    """The resource with its history, and its metrics marked for deletion; their ids."""
    return _deleted(connection, RESOURCES.c.id == identity)[1]


def delete_where(
    connection: sa.Connection, about: ResourceType, tree: Filter, now_ns: int
) -> tuple[int, list[str]]:
    """(how many resources, the ids of their metrics) that a filter deletes. Raises Bad."""
    condition = conditions.where(source(about, now_ns), tree)
    if about.name != GENERIC:
        condition = sa.and_(RESOURCES.c.type == about.name, condition)
    return _deleted(connection, condition)


def _deleted(connection: sa.Connection, condition: Any) -> tuple[int, list[str]]:
    chosen = sa.select(RESOURCES.c.id).where(condition)
    metrics = list(connection.scalars(sa.select(METRICS.c.id).where(METRICS.c.resource_id.in_(chosen))))
    metric_rows.mark_deleted(connection, METRICS.c.resource_id.in_(chosen))
    return connection.execute(RESOURCES.delete().where(condition)).rowcount, metrics
