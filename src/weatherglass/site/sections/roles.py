"""`roles:` what a kind of host runs, and how its hosts are updated."""

from __future__ import annotations

from typing import NamedTuple

from weatherglass.site.fields import NAME, SHARE, Field, ListOf, MapOf, Record, plain_name, whole
from weatherglass.site.model import Role, Update
from weatherglass.site.section import Context, Section


class _Written(NamedTuple):
    services: tuple[str, ...]
    update: Update


def _finish(context: Context) -> dict[str, Role]:
    roles = {}
    for name, written in context.values["roles"].items():
        for number, service in enumerate(written.services):
            context.refer(_place(context, name, number), "services", service)
        roles[name] = Role(name, tuple(dict.fromkeys(written.services)), written.update)
    return roles


def _place(context: Context, role: str, number: int) -> str:
    long = f"roles.{role}.services[{number}]"
    return long if long in context.report.places else f"roles.{role}[{number}]"


_UPDATE = Record(
    {
        "canary": Field(whole(0, 1000), "how many hosts go first and alone", 1),
        "serial": Field(SHARE, "which share of the hosts is updated at once", 1.0, "default: 100%"),
        "max_fail": Field(SHARE, "which share may fail before the update stops", 0.0, "default: 0%"),
    },
    Update,
)

SECTION = Section(
    name="roles",
    type=MapOf(
        Record(
            {
                "services": Field(ListOf(NAME), "the services such a host runs", ()),
                "update": Field(
                    _UPDATE, "how its hosts are updated", Update(), "default: one first, then all"
                ),
            },
            _Written,
            short=("list", "services"),
        ),
        key=plain_name,
    ),
    doc="What a kind of host runs: a list of services, or {services, update}.",
    finish=_finish,
)
