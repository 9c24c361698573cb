"""Resources: found, listed, searched, made, changed, deleted, and the metrics that they have by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from weatherglass.metrics.gnocchi import attributes, metrics, registry, resources, rules
from weatherglass.metrics.gnocchi.attributes import ResourceType, resource_id
from weatherglass.metrics.gnocchi.desks.ground import Ground
from weatherglass.metrics.gnocchi.desks.metrics import Page
from weatherglass.metrics.gnocchi.desks.metrics import wanted as metric_wanted
from weatherglass.metrics.gnocchi.errors import Bad, Missing, Taken, fitting, no_resource
from weatherglass.metrics.gnocchi.filters import Filter
from weatherglass.metrics.gnocchi.model import Metric, Resource
from weatherglass.metrics.gnocchi.rules import Caller

Condition = Callable[[Resource], None]
"""What must hold of a resource before it is answered or changed (ETags); raises where it does not."""


def _always(resource: Resource) -> None:
    """No condition was sent."""


class Resources:
    """Resources of every type."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    @staticmethod
    def identity(caller: Caller, text: str) -> str:
        """The UUID of a resource named in an address. Raises Missing."""
        try:
            return resource_id(text, caller.creator)
        except ValueError:
            raise no_resource(text) from None

    def get(self, caller: Caller, kind: str, identity: str, condition: Condition = _always) -> Resource:
        with self._ground.tables.read() as connection:
            about = registry.resource_type(connection, kind)
            found = resources.needed(connection, about, identity, metrics=True)
        caller.enforce("get resource", found.shown())
        condition(found)
        return found

    def create(self, caller: Caller, kind: str, body: Any) -> Resource:
        """Raises Bad, Taken, Forbidden."""
        with self._ground.tables.write() as connection:
            about = registry.resource_type(connection, kind)
            schema = attributes.resource_schema(about, caller.creator, self._ground.now_ns, fresh=True)
            fit = fitting(schema, body)
            made = self._create(connection, caller, about, fit)
        self._changed_hands(fit.get("metrics", {}))
        return made

    def _changed_hands(self, named: Mapping[str, Any]) -> None:
        """Metrics given by their ids have another owner now. To be called once that is committed."""
        if any(isinstance(one, str) for one in named.values()):
            self._ground.cache.clear()

    def _create(
        self, connection: sa.Connection, caller: Caller, about: ResourceType, fit: Mapping[str, Any]
    ) -> Resource:
        target = {key: value for key, value in fit.items() if key not in ("id", "metrics")}
        caller.enforce("create resource", {**target, "resource_type": about.name})
        made = resources.create(connection, about, fit, caller.creator, self._ground.now_us)
        self._give(connection, caller, made, fit.get("metrics", {}))
        return resources.with_metrics(connection, [made])[0]

    def _give(
        self, connection: sa.Connection, caller: Caller, resource: Resource, named: Mapping[str, Any]
    ) -> None:
        """The resource gets metrics: new ones, or those that are there by their ids. Raises Bad, Taken."""
        fresh = []
        for name, one in named.items():
            if isinstance(one, str):
                metrics.attach(connection, resource, name, one)
            else:
                fresh.append(metric_wanted(connection, name, one))
        metrics.create(connection, fresh, creator=resource.creator, tenant=caller.tenant, resource=resource)

    def change(
        self,
        caller: Caller,
        kind: str,
        identity: str,
        body: Callable[[], Any],
        condition: Condition = _always,
    ) -> Resource:
        """The resource after a PATCH; the body is read once it is known that it may. Raises Missing, Bad, …"""
        with self._ground.tables.write() as connection:
            about = registry.resource_type(connection, kind)
            before = resources.needed(connection, about, identity, metrics=True)
            caller.enforce("update resource", before.shown())
            condition(before)
            schema = attributes.resource_schema(about, caller.creator, self._ground.now_ns, fresh=False)
            fit = fitting(schema, body(), required=False)
            after = resources.change(connection, before, fit, self._ground.now_us)
            if "metrics" in fit:
                metrics.detach_all(connection, identity)
                try:
                    self._give(connection, caller, after, fit["metrics"])
                except Taken as error:
                    raise Bad(error.said) from error
            changed = resources.with_metrics(connection, [after])[0]
        if "metrics" in fit:
            self._ground.cache.clear()
        return changed

    def delete(self, caller: Caller, kind: str, identity: str, condition: Condition = _always) -> None:
        with self._ground.tables.write() as connection:
            about = registry.resource_type(connection, kind)
            found = resources.needed(connection, about, identity)
            caller.enforce("delete resource", found.shown())
            condition(found)
            resources.delete(connection, identity)
        self._ground.cache.clear()

    def delete_all(self, caller: Caller, kind: str, tree: Filter | None) -> int:
        """How many a filter deleted. Raises Bad, Forbidden."""
        if not tree:
            raise Bad(
                "caution: the query can not be empty, or it will                   delete entire database"
            )
        held = rules.resource_filter(caller, "delete resources", kind)
        with self._ground.tables.write() as connection:
            about = registry.resource_type(connection, kind)
            narrowed = {"and": [held, tree]} if held else tree
            count, _ = resources.delete_where(connection, about, narrowed, self._ground.now_ns)
        self._ground.cache.clear()
        return count

    def listed(
        self,
        caller: Caller,
        kind: str,
        page: Page | None,
        *,
        rule: str = "list resource",
        tree: Filter | None = None,
        details: bool = False,
        history: bool = False,
        sorts: tuple[str, ...] = resources.ORDER,
    ) -> list[Resource]:
        """A page of resources that the caller may see (all of them without one). Raises Bad, Forbidden."""
        held = rules.resource_filter(caller, rule, kind)
        narrowed = {"and": [held, tree]} if held and tree else held or tree
        with self._ground.tables.read() as connection:
            about = registry.resource_type(connection, kind)
            return resources.listed(
                connection,
                about,
                self._ground.now_ns,
                tree=narrowed,
                details=details,
                history=history,
                limit=page.limit if page else None,
                marker=page.marker if page else None,
                sorts=page.sorts if page else sorts,
            )

    def history(
        self, caller: Caller, kind: str, identity: str, page: Page, *, details: bool
    ) -> list[Resource]:
        with self._ground.tables.read() as connection:
            about = registry.resource_type(connection, kind)
            found = resources.needed(connection, about, identity)
            caller.enforce("get resource", found.shown())
            return resources.listed(
                connection,
                about,
                self._ground.now_ns,
                tree={"=": {"id": identity}},
                details=details,
                history=True,
                limit=page.limit,
                marker=page.marker,
                sorts=page.sorts,
            )

    # --- its metrics -------------------------------------------------------------------------------------

    def metrics_of(self, caller: Caller, kind: str, identity: str) -> list[Metric]:
        with self._ground.tables.read() as connection:
            about = registry.resource_type(connection, kind)
            caller.enforce("get resource", resources.needed(connection, about, identity).shown())
            return metrics.of_resources(connection, [identity])

    def may_give(self, caller: Caller, kind: str, identity: str) -> None:
        """Asked before a body is read."""
        with self._ground.tables.read() as connection:
            about = registry.resource_type(connection, kind)
            caller.enforce("update resource", resources.needed(connection, about, identity).shown())

    def give(self, caller: Caller, kind: str, identity: str, body: Any) -> list[Metric]:
        """More metrics for a resource; all that it has then. Raises Bad, Taken."""
        fit = fitting(attributes.METRICS, body)
        with self._ground.tables.write() as connection:
            about = registry.resource_type(connection, kind)
            resource = resources.needed(connection, about, identity)
            caller.enforce("update resource", resource.shown())
            try:
                self._give(connection, caller, resource, fit)
            except Taken as error:
                name = error.said["detail"] if isinstance(error.said, dict) else ""
                raise Taken(f"Named metric {name} already exists") from error
            found = metrics.of_resources(connection, [identity])
        self._changed_hands(fit)
        return found

    def ensured(
        self,
        caller: Caller,
        kind: str,
        original: str,
        given: Mapping[str, Any],
        names: list[str],
        declared: Mapping[str, Any] | None = None,
        wanted: Mapping[str, Any] | None = None,
    ) -> list[Metric]:
        """The metrics `names` of a resource, made (as `wanted` says) where they are not there, like the resource and
        its type. Raises Missing, Bad, Taken (the resource is of another type), Forbidden."""
        identity = resource_id(original, caller.creator)
        with self._ground.tables.write() as connection:
            try:
                about = registry.resource_type(connection, kind)
            except Missing:
                if declared is None:
                    raise
                caller.enforce("create resource type", {"name": kind})
                about = attributes.new({"name": kind, "attributes": dict(declared)})
                registry.add_type(connection, about)
            found = resources.get(connection, about, identity, metrics=True)
            if found is None:
                generic = registry.resource_type(connection, registry.GENERIC)
                if resources.get(connection, generic, identity) is not None:
                    raise Taken({"cause": "Resource already exists", "detail": identity})
                fit = {**given, "id": (original, identity)}
                caller.enforce("create resource", {**given, "resource_type": kind})
                found = resources.create(connection, about, fit, caller.creator, self._ground.now_us)
            else:
                caller.enforce("update resource", found.shown())
            have = found.metrics or {}
            self._give(connection, caller, found, {name: wanted or {} for name in names if name not in have})
            return metrics.of_resources(connection, [identity], names)
