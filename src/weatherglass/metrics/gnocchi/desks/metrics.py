"""Metrics: found, listed, made, deleted, given another policy."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
import voluptuous as v

from weatherglass.metrics.gnocchi import attributes, metrics, policies, registry, resources, rules
from weatherglass.metrics.gnocchi.attributes import resource_id
from weatherglass.metrics.gnocchi.desks.ground import Ground
from weatherglass.metrics.gnocchi.errors import Bad, Missing, Taken, fitting, no_metric, no_resource, unfit
from weatherglass.metrics.gnocchi.metrics import Wanted
from weatherglass.metrics.gnocchi.model import Metric, Resource
from weatherglass.metrics.gnocchi.rules import Caller
from weatherglass.metrics.gnocchi.tables import METRICS


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    limit: int
    marker: str | None
    sorts: tuple[str, ...]


def wanted(connection: sa.Connection, name: str | None, body: Mapping[str, Any]) -> Wanted:
    """The metric that a body asks for, its policy named or found by the rules. Raises Bad."""
    if name and "/" in name:
        raise Bad("'/' is not supported in metric name")
    chosen = body.get("archive_policy_name")
    if chosen is None:
        chosen = policies.match(registry.all_rules(connection), name)
        if chosen is None:
            raise Bad(
                "No archive policy name specified and no archive policy rule found matching "
                f"the metric name {name}"
            )
    return Wanted(name, chosen, body.get("unit"))


class Metrics:
    """Metrics by themselves; those of a resource by their name are the resources' desk's."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def get(self, text: str) -> Metric:
        """The metric with its policy and resource. Raises Missing."""
        try:
            identity = str(uuid.UUID(text))
        except ValueError:
            raise no_metric(text) from None
        with self._ground.tables.read() as connection:
            return self._with_resource(connection, metrics.one(connection, identity))

    @staticmethod
    def _with_resource(connection: sa.Connection, metric: Metric) -> Metric:
        if metric.resource_id is None:
            return metric
        about = registry.resource_type(connection, registry.GENERIC)
        return replace(metric, resource=resources.get(connection, about, metric.resource_id))

    def named(self, resource_type: str, resource: str, name: str) -> Metric:
        """The metric of a resource, by its name. Raises Missing."""
        with self._ground.tables.read() as connection:
            about = registry.resource_type(connection, resource_type)
            for metric in metrics.of_resources(connection, [resource], [name]):
                return self._with_resource(connection, metric)
            if resources.get(connection, about, resource) is None:
                raise no_resource(resource)
        raise no_metric(name)

    def shown(self, caller: Caller, metric: Metric) -> Metric:
        caller.enforce("get metric", metric.target())
        return metric

    def create(self, caller: Caller, body: Any) -> Metric:
        """Raises Bad, Missing (its resource), Forbidden."""
        fit = fitting(attributes.METRIC, body, required=False)
        name = fit.get("name")
        with self._ground.tables.write() as connection:
            one = wanted(connection, name, fit)
            resource = self._of(connection, caller, fit)
            caller.enforce(
                "create metric",
                {"creator": caller.creator, "name": name, "resource_id": fit.get("resource_id")},
            )
            try:
                made = metrics.create(
                    connection, [one], creator=caller.creator, tenant=caller.tenant, resource=resource
                )[0]
            except Taken as error:
                raise Bad(error.said) from error
        return made

    @staticmethod
    def _of(connection: sa.Connection, caller: Caller, fit: Mapping[str, Any]) -> Resource | None:
        if fit.get("resource_id") is None:
            return None
        try:
            identity = resource_id(fit["resource_id"], caller.creator)
        except ValueError as error:
            raise unfit(v.Invalid(f"{error} for dictionary value", path=["resource_id"])) from error
        if fit.get("name") is None:
            reason = "Name cannot be null if resource_id is not null"
            raise Bad({"cause": "Attribute value error", "detail": "name", "reason": reason})
        about = registry.resource_type(connection, registry.GENERIC)
        resource = resources.needed(connection, about, identity)
        caller.enforce("update resource", resource.shown())
        return resource

    def listed(self, caller: Caller, asked: Mapping[str, str], page: Page) -> list[Metric]:
        """A page of the metrics that the caller may see. Raises Bad, Forbidden."""
        known = {"name", "id", "unit", "archive_policy_name"}
        tree: list[dict[str, Any]] = [{"=": {key: asked[key]}} for key in sorted(known & asked.keys())]
        status = asked.get("status", metrics.ACTIVE)
        if status not in (metrics.ACTIVE, metrics.DELETED):
            raise Bad("Invalid input: not a valid value for dictionary value @ data['status']")
        creator = asked.get("creator")
        if "user_id" in asked or "project_id" in asked:
            creator = f"{asked.get('user_id', '')}:{asked.get('project_id', '')}"
        if creator is not None:
            tree.append({"=": {"creator": creator}})
        mine = rules.metric_filter(caller, "list metric")
        theirs = rules.resource_filter(caller, "list metric", None, prefix="resource")
        with self._ground.tables.read() as connection:
            return metrics.listed(
                connection,
                tree={"and": tree} if tree else {},
                status=status,
                mine=mine,
                of_my_resources=theirs,
                limit=page.limit,
                marker=page.marker,
                sorts=page.sorts,
            )

    def delete(self, caller: Caller, metric: Metric) -> None:
        """At once for whoever asks; its samples go with the janitor. Raises Forbidden, Missing."""
        caller.enforce("delete metric", metric.target())
        with self._ground.tables.write() as connection:
            if not metrics.mark_deleted(connection, METRICS.c.id == metric.id):
                raise no_metric(metric.id)
        self._ground.cache.clear()

    def move(self, caller: Caller, metric: Metric, body: Any) -> Metric:
        """The metric under another policy. Gnocchi has no way to do this. Raises Bad, Forbidden."""
        caller.enforce("update archive policy", {})
        name = fitting({"archive_policy_name": str}, body)["archive_policy_name"]
        with self._ground.tables.write() as connection:
            try:
                registry.policy(connection, name)
            except Missing as error:
                raise Bad(error.said) from error
            metrics.move(connection, metric.id, name)
            after = metrics.one(connection, metric.id)
        self._ground.cache.clear()
        return after
