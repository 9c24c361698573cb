"""`probe:` one key names the kind, its value says the rest; and every probe resolved to what is really asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from weatherglass.site.fields import (
    ARGV,
    BAD,
    DURATION,
    FILLED,
    NAME,
    REQUIRED,
    TEXT,
    At,
    Field,
    ListOf,
    Record,
    near,
    whole,
)
from weatherglass.site.model import Probe, Service, Site, Tenant

_TIMEOUT = Field(DURATION, "when no answer counts as none", 3.0, "default: 3s")


def _kind(kind: str, fields: Mapping[str, Field], short: tuple[str, ...]) -> Record:
    def build(timeout: float, **values: Any) -> Probe:
        return Probe(kind, timeout_s=timeout, **values)

    return Record({**fields, "timeout": _TIMEOUT}, build, short=short)


KINDS: dict[str, Record] = {
    "http": _kind(
        "http",
        {
            "url": Field(FILLED, "an address, or a path on the replica's own host and first port", REQUIRED),
            "status": Field(
                ListOf(whole(100, 599), single=True), "what counts as good", (), "default: 2xx, 3xx"
            ),
            "contains": Field(TEXT, "what the answer must hold", ""),
        },
        ("scalar", "url"),
    ),
    "tcp": _kind(
        "tcp",
        {"address": Field(FILLED, "`host:port`, a port, or the name of one of its ports", REQUIRED)},
        ("scalar", "address"),
    ),
    "mysql": _kind(
        "mysql",
        {
            "address": Field(FILLED, "`host:port`, a port, or a port's name", "", "default: its first port"),
            "user": Field(TEXT, "who logs in; without it the server's greeting is enough", ""),
            "password": Field(NAME, "the name of a secret", ""),
        },
        ("scalar", "address"),
    ),
    "command": _kind(
        "command",
        {"command": Field(ARGV, "run where the replica runs; exit code 0 is good", REQUIRED)},
        ("list", "command"),
    ),
    "openstack-token": _kind(
        "openstack-token",
        {
            "url": Field(FILLED, "keystone's address", "", "default: the replica's own, or the one it uses"),
            "get": Field(
                FILLED,
                "fetched with the token: an address, or a path on the replica's own",
                "",
                "default: nothing",
            ),
            "user": Field(FILLED, "who asks for a token", REQUIRED),
            "project": Field(TEXT, "for which project", ""),
            "domain": Field(TEXT, "of which domain", "Default"),
            "password": Field(NAME, "the name of a secret", REQUIRED),
        },
        (),
    ),
}


@dataclass(frozen=True, slots=True)
class _ProbeType:
    """One key out of `KINDS`."""

    def read(self, at: At) -> Any:
        pairs = at.pairs()
        if pairs is None:
            return BAD
        if len(pairs) != 1:
            return at.bad(f"a probe has one key, not {len(pairs)}", f"write {{http: …}}; {near('', KINDS)}")
        [(kind, inner)] = pairs.items()
        if kind not in KINDS:
            return inner.bad(f"{kind} is not a kind of probe", near(kind, KINDS))
        return KINDS[kind].read(inner)

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {kind: record.schema() for kind, record in KINDS.items()},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }


PROBE = _ProbeType()

PERIOD_S = 5.0
_FIELDS = tuple(one.name for one in fields(Probe))


def probe_specs(site: Site, host: str = "") -> list[dict[str, Any]]:
    """Every probe, resolved, as the JSON that agents and the server's prober are given.

    `entity`, `host` (whose agent asks; the server asks as well where `server` is true) and `Probe`'s fields.
    A service is asked at each of its replicas; a tenant through the first replica of what it uses.
    `host` leaves only those that this host's agent asks.
    """
    specs = []
    for service in site.services.values():
        if service.probe:
            specs += [
                _spec(site, service.probe, replica.entity, replica.host, service, replica.host)
                for replica in service.replicas
            ]
    for tenant in site.tenants.values():
        if tenant.probe:
            used = _used(site, tenant)
            asked_on = used.replicas[0].host if used and used.replicas else next(iter(site.hosts))
            specs.append(_spec(site, tenant.probe, tenant.entity, asked_on, used, asked_on))
    return [spec for spec in specs if not host or spec["host"] == host]


def _used(site: Site, tenant: Tenant) -> Service | None:
    """The service a tenant's probe goes through: the first of the same kind of probe, else the first it uses."""
    used = [site.services[name] for name in tenant.uses]
    same = [s for s in used if s.probe and tenant.probe and s.probe.kind == tenant.probe.kind]
    return next(iter(same or used), None)


def _spec(
    site: Site, probe: Probe, entity: str, asked_on: str, service: Service | None, at: str
) -> dict[str, Any]:
    address = site.hosts[at].address
    ports = service.ports if service else {}
    port = next(iter(ports.values()), 0)
    spec: dict[str, Any] = {name: getattr(probe, name) for name in _FIELDS} | {
        "command": list(probe.command),
        "status": list(probe.status),
        "entity": entity,
        "host": asked_on,
        "server": probe.kind != "command",
        "period_s": PERIOD_S,
    }
    if probe.kind in ("tcp", "mysql"):
        named = ports.get(probe.address, port if not probe.address else probe.address)
        spec["address"] = str(named) if ":" in str(named) else f"{address}:{named}"
    elif probe.kind == "http" and probe.url.startswith("/"):
        spec["url"] = f"http://{_bracketed(address)}:{port}{probe.url}"
    elif probe.kind == "openstack-token":
        if probe.get.startswith("/"):
            spec["get"] = f"http://{_bracketed(address)}:{port}{probe.get}"
        spec["url"] = probe.url or _keystone(site, service, address)
    return spec


def _keystone(site: Site, service: Service | None, address: str) -> str:
    """Who issues the tokens: the service itself, or, where the token is for what it gives, the one it needs."""
    issues = service
    if service and service.probe and service.probe.get:
        needed = [site.services[name] for name in service.needs if name in site.services]
        issues = next((one for one in needed if _is_keystone(one)), service)
        if issues is not service and issues.replicas:
            address = site.hosts[issues.replicas[0].host].address
    if issues and _is_keystone(issues) and issues.probe and issues.probe.url:
        return issues.probe.url
    port = next(iter(issues.ports.values()), 0) if issues else 0
    return f"http://{_bracketed(address)}:{port}/v3"


def _is_keystone(service: Service) -> bool:
    """Whether its own probe takes a token from it."""
    return service.probe is not None and service.probe.kind == "openstack-token" and not service.probe.get


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
