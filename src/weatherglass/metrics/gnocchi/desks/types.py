"""Resource types: asked for, made, changed, deleted."""

from __future__ import annotations

from typing import Any

from weatherglass.metrics.gnocchi import attributes, registry
from weatherglass.metrics.gnocchi.attributes import ResourceType
from weatherglass.metrics.gnocchi.desks.ground import Ground
from weatherglass.metrics.gnocchi.rules import Caller


class Types:
    """Resource types. DDL is never run: a type's attributes live in its resources' rows."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def all(self, caller: Caller) -> list[ResourceType]:
        caller.enforce("list resource type", {})
        with self._ground.tables.read() as connection:
            return list(registry.all_types(connection).values())

    def get(self, caller: Caller, name: str) -> ResourceType:
        found = self.known(name)
        caller.enforce("get resource type", {"name": name})
        return found

    def known(self, name: str) -> ResourceType:
        """Raises Missing."""
        with self._ground.tables.read() as connection:
            return registry.resource_type(connection, name)

    def create(self, caller: Caller, body: Any) -> ResourceType:
        fresh = attributes.new(body)
        caller.enforce("create resource type", {"name": fresh.name})
        with self._ground.tables.write() as connection:
            registry.add_type(connection, fresh)
        return fresh

    def may_change(self, caller: Caller, name: str) -> None:
        """Asked before a body is read."""
        self.known(name)
        caller.enforce("update resource type", {"name": name})

    def change(self, caller: Caller, name: str, patch: Any) -> ResourceType:
        self.may_change(caller, name)
        with self._ground.tables.write() as connection:
            change = attributes.patched(registry.resource_type(connection, name), patch)
            registry.change_type(connection, change)
        return change.after

    def delete(self, caller: Caller, name: str) -> None:
        self.known(name)
        caller.enforce("delete resource type", {"name": name})
        with self._ground.tables.write() as connection:
            registry.drop_type(connection, name)
