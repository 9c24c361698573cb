"""`tenants:` who uses the cloud, what of it, and how far they may go."""

from __future__ import annotations

import re
from typing import Any

from weatherglass.base.time import parse_iso
from weatherglass.base.units import parse_count, parse_size
from weatherglass.site.fields import (
    COUNT,
    NAME,
    TEXT,
    Field,
    ListOf,
    MapOf,
    Record,
    Scalar,
    plain_name,
    whole,
)
from weatherglass.site.graph import Edge, Entity
from weatherglass.site.model import Limits, Objective, Site, Tenant
from weatherglass.site.probe import PROBE
from weatherglass.site.section import Context, Section
from weatherglass.site.sections.services import OBJECTIVE

_PER = {"s": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_RATE = re.compile(r"(.+)/(s|minute|hour|day)")


def _samples(text: str) -> float:
    form = _RATE.fullmatch(text)
    if not form:
        raise ValueError(f"{text!r} is not a rate; write one like 20k/s")
    return parse_count(form[1]) / _PER[form[2]]


def _logs(text: str) -> int:
    form = _RATE.fullmatch(text)
    if not form:
        raise ValueError(f"{text!r} is not a rate of logs; write one like 50GB/day")
    return int(parse_size(form[1]) * 86400 / _PER[form[2]])


def _instant(text: str) -> int:
    try:
        return parse_iso(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a date; write one like 2027-07-04 or 2027-07-04T18:00Z") from error


def _limits(series: int, samples: float, logs: int) -> Limits:
    return Limits(series, samples, logs)


def _build(**values: Any) -> dict[str, Any]:
    return values


_TENANT = Record(
    {
        "project": Field(TEXT, "its project in OpenStack", ""),
        "limits": Field(
            Record(
                {
                    "series": Field(COUNT, "series at a time", 100_000, "default: 100k"),
                    "samples": Field(
                        Scalar(_samples, {"type": "string"}, "a rate like 20k/s"),
                        "samples taken in",
                        50_000.0,
                        "default: 50k/s",
                    ),
                    "logs": Field(
                        Scalar(_logs, {"type": "string"}, "a rate like 50GB/day"),
                        "logs taken in",
                        10 * 10**9,
                        "default: 10GB/day",
                    ),
                },
                _limits,
            ),
            "how much it may send",
            Limits(),
            "default: those of each field",
        ),
        "uses": Field(ListOf(NAME, single=True), "the services it works with", ()),
        "probe": Field(PROBE, "a question in its own name", None),
        "objective": Field(OBJECTIVE, "what it was promised", Objective(), "default: availability 99%"),
        "seats": Field(whole(0, 100_000), "accounts made for it, for a course", 0),
        "expires": Field(
            Scalar(_instant, {"type": "string"}, "a date like 2027-07-04"),
            "when it ends",
            0,
            "default: never",
        ),
        "credits": Field(COUNT, "what it may spend", 0),
    },
    _build,
)


def _finish(context: Context) -> dict[str, Tenant]:
    tenants = {}
    for name, written in context.values["tenants"].items():
        if name == "site":
            context.report.add("tenants.site", "site is the cloud's own tenant", "give it another name")
        for number, service in enumerate(written["uses"]):
            context.refer(f"tenants.{name}.uses[{number}]", "services", service)
        expires = written.pop("expires")
        tenants[name] = Tenant(**{**written, "name": name, "expires_ns": expires})
    return tenants


def _entities(site: Site) -> tuple[list[Entity], list[Edge]]:
    entities, edges = [], []
    for tenant in site.tenants.values():
        attributes = {"project": tenant.project, "seats": tenant.seats, "expires_ns": tenant.expires_ns}
        entities.append(Entity(tenant.entity, "tenant", tenant.name, {"site": site.name}, attributes))
        edges += [Edge(tenant.entity, "needs", site.services[name].entity) for name in tenant.uses]
    return entities, edges


SECTION = Section(
    name="tenants",
    type=MapOf(_TENANT, key=plain_name, nullable=True),
    doc="Who uses the cloud, what of it, and how far they may go.",
    after=("services",),
    finish=_finish,
    entities=_entities,
)
