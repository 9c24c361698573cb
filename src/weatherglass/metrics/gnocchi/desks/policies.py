"""Archive policies and their rules: asked for, made, changed, deleted."""

from __future__ import annotations

from typing import Any

from weatherglass.metrics.gnocchi import policies, registry
from weatherglass.metrics.gnocchi.desks.ground import Ground
from weatherglass.metrics.gnocchi.errors import fitting
from weatherglass.metrics.gnocchi.policies import Policy, Rule
from weatherglass.metrics.gnocchi.rules import Caller


class Policies:
    """Archive policies."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def all(self, caller: Caller) -> list[Policy]:
        caller.enforce("list archive policy", {})
        with self._ground.tables.read() as connection:
            return list(registry.all_policies(connection).values())

    def get(self, caller: Caller, name: str) -> Policy:
        with self._ground.tables.read() as connection:
            found = registry.policy(connection, name)
        caller.enforce("get archive policy", {"name": name})
        return found

    def may_create(self, caller: Caller) -> None:
        """Asked before a body is read."""
        caller.enforce("create archive policy", {})

    def create(self, caller: Caller, body: Any) -> Policy:
        self.may_create(caller)
        fresh = policies.new(body)
        with self._ground.tables.write() as connection:
            registry.add_policy(connection, fresh)
        return fresh

    def may_change(self, caller: Caller, name: str) -> None:
        self.get(caller, name)
        caller.enforce("update archive policy", {"name": name})

    def change(self, caller: Caller, name: str, body: Any) -> Policy:
        self.may_change(caller, name)
        with self._ground.tables.write() as connection:
            changed = registry.change_policy(connection, name, body)
        self._ground.cache.clear()
        return changed

    def delete(self, caller: Caller, name: str) -> None:
        caller.enforce("delete archive policy", {})
        with self._ground.tables.write() as connection:
            registry.drop_policy(connection, name)


class Rules:
    """Archive policy rules."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def all(self, caller: Caller) -> list[Rule]:
        caller.enforce("list archive policy rule", {})
        with self._ground.tables.read() as connection:
            return registry.all_rules(connection)

    def get(self, caller: Caller, name: str) -> Rule:
        with self._ground.tables.read() as connection:
            found = registry.rule(connection, name)
        caller.enforce("get archive policy rule", {"name": name})
        return found

    def may_create(self, caller: Caller) -> None:
        """Asked before a body is read."""
        caller.enforce("create archive policy rule", {})

    def create(self, caller: Caller, body: Any) -> Rule:
        self.may_create(caller)
        fit = fitting(policies.RULE, body)
        fresh = Rule(fit["name"], fit["metric_pattern"], fit["archive_policy_name"])
        with self._ground.tables.write() as connection:
            registry.add_rule(connection, fresh)
        return fresh

    def rename(self, caller: Caller, name: str, body: Any) -> Rule:
        fit = fitting({"name": str}, body)
        caller.enforce("update archive policy rule", {})
        with self._ground.tables.write() as connection:
            return registry.rename_rule(connection, name, fit["name"])

    def delete(self, caller: Caller, name: str) -> None:
        caller.enforce("delete archive policy rule", {})
        with self._ground.tables.write() as connection:
            registry.drop_rule(connection, name)
