"""`services:` what is deployed, watched and healed."""

from __future__ import annotations

import difflib
import re
from typing import Any

from weatherglass.site.fields import (
    ARGV,
    DURATION,
    FILLED,
    NAME,
    PORT,
    SHARE,
    TEXT,
    Field,
    ListOf,
    MapOf,
    Record,
    Scalar,
    beside,
    choice,
    plain_name,
    whole,
)
from weatherglass.site.graph import Edge, Entity
from weatherglass.site.model import Host, Objective, Replica, Role, Schema, Service, Site, Volume
from weatherglass.site.probe import PROBE
from weatherglass.site.section import Context, Section
from weatherglass.site.sections.remedies import KNOWN

_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _variable(text: str) -> str:
    if not _ENVIRONMENT.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of an environment variable")
    return text


def _absolute(text: str) -> str:
    if not text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise ValueError(f"{text!r} is not a path from the root")
    return text


def _signal(text: str) -> str:
    name = text.upper().removeprefix("SIG")
    if name not in ("TERM", "INT", "QUIT", "HUP", "KILL", "USR1", "USR2", "WINCH"):
        raise ValueError(f"{text!r} is not a signal that stops a service; one of TERM, INT, QUIT, HUP, KILL")
    return name


def _latency(text: str) -> float:
    seconds: float = DURATION.parse(text)
    if seconds <= 0:
        raise ValueError("a latency is above zero")
    return seconds


def _objective(availability: float, p95: float | None) -> Objective:
    return Objective(availability, p95)


OBJECTIVE = Record(
    {
        "availability": Field(SHARE, "the share of probes that must be good", 0.99, "default: 99%"),
        "p95": Field(
            Scalar(_latency, {"type": "string"}, "a duration like 300ms"),
            "how soon 95 % of them are answered",
        ),
    },
    _objective,
)


def _build(**values: Any) -> dict[str, Any]:
    return values


_SERVICE = Record(
    {
        "image": Field(FILLED, "an image of `images:`, or one named in full (by digest for preference)", ""),
        "command": Field(ARGV, "what is run; a template may stand in it", ()),
        "runtime": Field(
            choice("auto", "container", "process"), "as what; auto takes a container where it can", "auto"
        ),
        "replicas": Field(whole(1, 10_000), "how many", None, "default: one per host of its roles"),
        "ports": Field(MapOf(PORT, key=plain_name), "the ports it listens on, by name", {}),
        "needs": Field(
            ListOf(NAME, single=True), "services it cannot do without: order of start, edge of cause", ()
        ),
        "files": Field(
            MapOf(Scalar(beside, {"type": "string"}, "a file beside the declaration"), key=_absolute),
            "files it finds, each rendered from a template beside the declaration",
            {},
        ),
        "secrets": Field(
            MapOf(NAME, key=_variable), "environment variables from secrets, by name and never by value", {}
        ),
        "environment": Field(MapOf(TEXT, key=_variable), "environment variables", {}),
        "once": Field(MapOf(ARGV, key=plain_name), "commands run once, before its first start", {}),
        "schema": Field(
            Record(
                {
                    "expand": Field(ARGV, "before the new version starts", ()),
                    "migrate": Field(ARGV, "while both may run", ()),
                    "contract": Field(ARGV, "when the old one is gone for good", ()),
                },
                Schema,
            ),
            "how its database's schema moves",
            Schema(),
            "default: none",
        ),
        "probe": Field(PROBE, "the question it must answer; its kind is the one key", None),
        "objective": Field(OBJECTIVE, "what is promised", Objective(), "default: availability 99%"),
        "logs": Field(ListOf(FILLED, single=True), "log files, `*` allowed; its output is always kept", ()),
        "metrics": Field(ListOf(FILLED, single=True), "`:port/path` to read metrics from", ()),
        "remedies": Field(
            ListOf(choice(*KNOWN), single=True),
            "what may help, in this order",
            ("restart",),
            "default: restart",
        ),
        "volumes": Field(MapOf(NAME, key=_absolute), "where it finds which volume", {}),
        "user": Field(TEXT, "who it runs as", "", "default: root in a container, the agent's user else"),
        "stop_signal": Field(
            Scalar(_signal, {"type": "string"}, "a signal's name"), "how it is asked to stop", "TERM"
        ),
        "stop_grace": Field(DURATION, "how long it may take", 10.0, "default: 10s"),
    },
    _build,
    later={"data": "replicated and backed-up data"},
)


def _finish(context: Context) -> dict[str, Service]:
    services: dict[str, Service] = {}
    for name, written in context.values["services"].items():
        path = f"services.{name}"
        if not written["command"] and not written["image"]:
            context.report.add(path, "neither image nor command is given", "give image:, command: or both")
        if written["runtime"] == "container" and not written["image"]:
            context.report.add(path, "a container needs an image", "give image:, or runtime: process")
        if written["runtime"] == "process" and not written["command"]:
            context.report.add(path, "a process needs a command", "give command:")
        for number, needed in enumerate(written["needs"]):
            context.refer(f"{path}.needs[{number}]", "services", needed)
        image = written["image"]
        if image and not set(image) & set(":/@"):
            context.refer(f"{path}.image", "images", image)
        replicas = _replicas(context, name, written)
        for where, template in written["files"].items():
            if context.file(template) is None:
                context.report.add(
                    f"{path}.files.{where}", f"there is no file {template}", "write it beside the declaration"
                )
        _volumes(context, path, written, replicas)
        grace = written.pop("stop_grace")
        services[name] = Service(**{**written, "name": name, "replicas": replicas, "stop_grace_s": grace})
    _cycles(context, services)
    _ports(context, services)
    _secrets(context, services)
    return services


def _replicas(context: Context, name: str, written: dict[str, Any]) -> tuple[Replica, ...]:
    roles: dict[str, Role] = context.values["roles"]
    hosts: dict[str, Host] = context.values["hosts"]
    carrying = {role.name for role in roles.values() if name in role.services}
    on = [host.name for host in hosts.values() if carrying & set(host.roles)]
    path = f"services.{name}"
    if not on:
        unread = context.names["hosts"] - set(hosts) or context.names["roles"] - set(roles)
        if not unread:
            context.report.add(
                path,
                f"no host runs {name}",
                "put it into a role, and the role on a host"
                if not carrying
                else f"give a host the role {min(carrying)}",
            )
        return ()
    count = written["replicas"] or len(on)
    if count > len(on) and written["ports"]:
        context.report.add(
            f"{path}.replicas",
            f"{count} replicas with ports, but its roles give {len(on)} host{'s' * (len(on) > 1)}",
            f"ask for {len(on)} at most, or give more hosts the role",
        )
    return tuple(Replica.of(name, number + 1, on[number % len(on)]) for number in range(count))


def _volumes(context: Context, path: str, written: dict[str, Any], replicas: tuple[Replica, ...]) -> None:
    for where, volume in written["volumes"].items():
        place = f"{path}.volumes.{where}"
        if not context.refer(place, "volumes", volume):
            continue
        declared: Volume = context.values["volumes"][volume]
        if len(replicas) > 1:
            context.report.add(
                place,
                f"a volume is on one host, and this service has {len(replicas)} replicas",
                "give replicas: 1",
            )
        elif replicas and declared.host and declared.host != replicas[0].host:
            context.report.add(
                place,
                f"the volume is on {declared.host}, the service on {replicas[0].host}",
                "leave the volume's host out, or move one of them",
            )


def _cycles(context: Context, services: dict[str, Service]) -> None:
    done: set[str] = set()
    for start in services:
        trail: list[str] = []
        stack = [(start, 0)]
        while stack:
            name, depth = stack.pop()
            del trail[depth:]
            if name in trail:
                shown = "→".join([*trail[trail.index(name) :], name])
                context.report.add(
                    f"services.{trail[-1]}.needs", f"{shown} is a cycle", "take one of the needs out"
                )
                done.update(trail)
                break
            if name in done or name not in services:
                continue
            trail.append(name)
            stack += [(needed, depth + 1) for needed in services[name].needs]
        done.add(start)


def _ports(context: Context, services: dict[str, Service]) -> None:
    taken: dict[tuple[str, int], str] = {}
    for service in services.values():
        for host in dict.fromkeys(replica.host for replica in service.replicas):
            for name, port in service.ports.items():
                other = taken.setdefault((host, port), service.name)
                if other != service.name:
                    context.report.add(
                        f"services.{service.name}.ports.{name}",
                        f"port {port} on {host} is {other}'s already",
                        "give another port",
                    )


_SECRET = re.compile(r"""secret\(\s*['"]([^'"]+)['"]\s*\)""")


def _secrets(context: Context, services: dict[str, Service]) -> None:
    """A probe's secret that is nearly, but not quite, one that a service uses, is a slip of the pen."""
    used: set[str] = set()
    for service in services.values():
        used.update(service.secrets.values())
        texts = [context.file(name) or "" for name in service.files.values()]
        texts += [*service.command, *service.environment.values()]
        texts += [word for argv in service.once.values() for word in argv]
        for text in texts:
            used.update(_SECRET.findall(text))
    for service in services.values():
        password = service.probe.password if service.probe else ""
        close = difflib.get_close_matches(password, sorted(used), n=1, cutoff=0.85)
        if service.probe and close and password not in used:
            context.report.add(
                f"services.{service.name}.probe.{service.probe.kind}.password",
                f"no service uses the secret {password}",
                f"did you mean {close[0]}?",
            )


def _entities(site: Site) -> tuple[list[Entity], list[Edge]]:
    entities, edges = [], []
    for service in site.services.values():
        labels = {"site": site.name, "service": service.name}
        attributes = {
            "image": service.image,
            "ports": dict(service.ports),
            "objective": {"availability": service.objective.availability, "p95_s": service.objective.p95_s},
            "remedies": list(service.remedies),
            "replicas": len(service.replicas),
        }
        entities.append(Entity(service.entity, "service", service.name, labels, attributes))
        edges += [Edge(service.entity, "needs", site.services[name].entity) for name in service.needs]
        for replica in service.replicas:
            host = site.hosts[replica.host]
            place = {"host": host.name} | ({"zone": host.zone} if host.zone else {})
            entities.append(
                Entity(
                    replica.entity,
                    "replica",
                    replica.name,
                    {**labels, **place, "replica": replica.name},
                    {"number": replica.number, "address": host.address},
                )
            )
            edges.append(Edge(replica.entity, "part_of", service.entity))
            edges.append(Edge(replica.entity, "runs_on", host.entity))
            edges += [
                Edge(replica.entity, "attached_to", site.volumes[volume].entity)
                for volume in dict.fromkeys(service.volumes.values())
            ]
    return entities, edges


SECTION = Section(
    name="services",
    type=MapOf(_SERVICE, key=plain_name),
    doc="What is deployed, watched and healed.",
    after=("hosts", "roles", "images", "volumes"),
    finish=_finish,
    entities=_entities,
)
