"""`/v1/resource_type`, `/v1/resource`, their history and metrics, `/v1/search/resource`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weatherglass.gateway.gnocchi.answers import Answer, location, next_page, tags
from weatherglass.gateway.gnocchi.asking import Ask
from weatherglass.metrics.gnocchi import Page, Resource

ORDER = ("revision_start:asc", "started_at:asc")
_PATCH = ("application/json-patch+json",)


def types(ask: Ask) -> Answer:
    return Answer([one.shown() for one in ask.gnocchi.types.all(ask.caller)])


def new_type(ask: Ask) -> Answer:
    made = ask.gnocchi.types.create(ask.caller, ask.body())
    return Answer(made.shown(), 201, location(ask.v1 + "/resource_type", made.name))


def resource_type(ask: Ask) -> Answer:
    return Answer(ask.gnocchi.types.get(ask.caller, ask.parts["name"]).shown())


def change_type(ask: Ask) -> Answer:
    ask.gnocchi.types.may_change(ask.caller, ask.parts["name"])
    return Answer(ask.gnocchi.types.change(ask.caller, ask.parts["name"], ask.body(_PATCH)).shown())


def drop_type(ask: Ask) -> Answer:
    ask.gnocchi.types.delete(ask.caller, ask.parts["name"])
    return Answer()


def known_type(ask: Ask) -> None:
    """Raises Missing where the path names a type that there is not, whatever the method."""
    ask.gnocchi.types.known(ask.parts["type"])


def by_type(ask: Ask) -> Answer:
    found = ask.gnocchi.types.all(ask.caller)
    return Answer({one.name: f"{ask.v1}/resource/{one.name}" for one in found})


def _shown(resource: Resource, attributes: Sequence[str]) -> dict[str, Any]:
    found = resource.shown()
    return {name: value for name, value in found.items() if name in attributes} if attributes else found


def _page(ask: Ask, page: Page, found: Sequence[Resource], *, history: bool) -> Answer:
    link = {}
    if found and len(found) >= page.limit:
        last = found[-1]
        link = next_page(ask.address, ask.link(page), f"{last.id}@{last.revision}" if history else last.id)
    attributes = ask.all("attrs")
    return Answer([_shown(one, attributes) for one in found], 200, link)


def resources(ask: Ask) -> Answer:
    details, history = ask.flag("details"), ask.flag("history")
    page = ask.page(ORDER)
    found = ask.gnocchi.resources.listed(
        ask.caller, ask.parts["type"], page, details=details, history=history
    )
    return _page(ask, page, found, history=history)


def search(ask: Ask) -> Answer:
    tree = ask.search()
    details, history = ask.flag("details"), ask.flag("history")
    page = ask.page(ORDER)
    found = ask.gnocchi.resources.listed(
        ask.caller,
        ask.parts["type"],
        page,
        rule="search resource",
        tree=tree,
        details=details,
        history=history,
    )
    return _page(ask, page, found, history=history)


def new_resource(ask: Ask) -> Answer:
    kind = ask.parts["type"]
    made = ask.gnocchi.resources.create(ask.caller, kind, ask.body())
    return Answer(made.shown(), 201, location(ask.v1 + "/resource", kind, made.id) | tags(made))


def drop_resources(ask: Ask) -> Answer:
    count = ask.gnocchi.resources.delete_all(ask.caller, ask.parts["type"], ask.search())
    return Answer({"deleted": count})


def identity(ask: Ask) -> tuple[str, str]:
    """(type, id) of the resource that a path names. Raises Missing."""
    return ask.parts["type"], ask.gnocchi.resources.identity(ask.caller, ask.parts["id"])


def resource(ask: Ask) -> Answer:
    found = ask.gnocchi.resources.get(ask.caller, *identity(ask), condition=ask.fresh)
    return Answer(found.shown(), 200, tags(found))


def change_resource(ask: Ask) -> Answer:
    after = ask.gnocchi.resources.change(ask.caller, *identity(ask), body=ask.body, condition=ask.fresh)
    return Answer(after.shown(), 200, tags(after))


def drop_resource(ask: Ask) -> Answer:
    ask.gnocchi.resources.delete(ask.caller, *identity(ask), condition=ask.fresh)
    return Answer()


def history(ask: Ask) -> Answer:
    details, page = ask.flag("details"), ask.page(ORDER)
    found = ask.gnocchi.resources.history(ask.caller, *identity(ask), page, details=details)
    return _page(ask, page, found, history=True)


def metrics(ask: Ask) -> Answer:
    found = ask.gnocchi.resources.metrics_of(ask.caller, *identity(ask))
    return Answer([one.shown() for one in found])


def give_metrics(ask: Ask) -> Answer:
    kind, one = identity(ask)
    ask.gnocchi.resources.may_give(ask.caller, kind, one)
    found = ask.gnocchi.resources.give(ask.caller, kind, one, ask.body())
    return Answer([metric.shown() for metric in found])
