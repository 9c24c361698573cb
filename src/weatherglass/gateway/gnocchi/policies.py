"""`/v1/archive_policy` and `/v1/archive_policy_rule`."""

from __future__ import annotations

from weatherglass.gateway.gnocchi.answers import Answer, location
from weatherglass.gateway.gnocchi.asking import Ask


def policies(ask: Ask) -> Answer:
    return Answer([one.shown() for one in ask.gnocchi.policies.all(ask.caller)])


def new_policy(ask: Ask) -> Answer:
    ask.gnocchi.policies.may_create(ask.caller)
    made = ask.gnocchi.policies.create(ask.caller, ask.body())
    return Answer(made.shown(), 201, location(ask.v1 + "/archive_policy", made.name))


def policy(ask: Ask) -> Answer:
    return Answer(ask.gnocchi.policies.get(ask.caller, ask.parts["name"]).shown())


def change_policy(ask: Ask) -> Answer:
    ask.gnocchi.policies.may_change(ask.caller, ask.parts["name"])
    return Answer(ask.gnocchi.policies.change(ask.caller, ask.parts["name"], ask.body()).shown())


def drop_policy(ask: Ask) -> Answer:
    ask.gnocchi.policies.delete(ask.caller, ask.parts["name"])
    return Answer()


def rules(ask: Ask) -> Answer:
    return Answer([one.shown() for one in ask.gnocchi.rules.all(ask.caller)])


def new_rule(ask: Ask) -> Answer:
    ask.gnocchi.rules.may_create(ask.caller)
    made = ask.gnocchi.rules.create(ask.caller, ask.body())
    return Answer(made.shown(), 201, location(ask.v1 + "/archive_policy_rule", made.name))


def rule(ask: Ask) -> Answer:
    return Answer(ask.gnocchi.rules.get(ask.caller, ask.parts["name"]).shown())


def rename_rule(ask: Ask) -> Answer:
    ask.gnocchi.rules.get(ask.caller, ask.parts["name"])
    return Answer(ask.gnocchi.rules.rename(ask.caller, ask.parts["name"], ask.body()).shown())


def drop_rule(ask: Ask) -> Answer:
    ask.gnocchi.rules.delete(ask.caller, ask.parts["name"])
    return Answer()
