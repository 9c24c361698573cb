"""What a declaration says, as values. Made by `parse` alone, never changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weatherglass.base.ids import EntityId, entity, replica_name


@dataclass(frozen=True, slots=True)
class Zone:
    """What fails together: a rack, a feed, a switch."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def entity(self) -> EntityId:
        return entity("zone", self.name)


@dataclass(frozen=True, slots=True)
class Host:
    """One machine with an agent on it."""

    name: str
    address: str
    roles: tuple[str, ...] = ()
    zone: str = ""

    @property
    def entity(self) -> EntityId:
        return entity("host", self.name)


@dataclass(frozen=True, slots=True)
class Update:
    """How a role's hosts are updated: how many first, which share at once, how many may fail."""

    canary: int = 1
    serial: float = 1.0
    max_fail: float = 0.0


@dataclass(frozen=True, slots=True)
class Role:
    """What a kind of host runs."""

    name: str
    services: tuple[str, ...] = ()
    update: Update = Update()


@dataclass(frozen=True, slots=True)
class Probe:
    """A question a service must answer. Fields beside `kind` and `timeout_s` count for their kinds alone."""

    kind: str  # http | tcp | command | mysql | openstack-token
    url: str = ""  # http, openstack-token: an address, or a path on the replica's own (`/healthz`)
    get: str = ""  # openstack-token: what is fetched with the token, an address or a path
    address: str = ""  # tcp, mysql: `host:port`, a port, or the name of one of the service's ports
    command: tuple[str, ...] = ()
    status: tuple[int, ...] = ()  # http: what counts as good; any 2xx or 3xx where empty
    contains: str = ""  # http: what the body must hold
    user: str = ""
    project: str = ""
    domain: str = ""
    password: str = ""  # the name of a secret, never the value
    timeout_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Objective:
    """What was promised: the share of good answers, and how soon 95 % of them come (None: not promised)."""

    availability: float = 0.99
    p95_s: float | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """How a database's schema moves with its service; each a command."""

    expand: tuple[str, ...] = ()
    migrate: tuple[str, ...] = ()
    contract: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replica:
    """One running copy of a service on one host; `number` counts from 1 over the site."""

    name: str
    number: int
    host: str

    @property
    def entity(self) -> EntityId:
        return entity("replica", self.name)

    @classmethod
    def of(cls, service: str, number: int, host: str) -> Replica:
        return cls(replica_name(service, number, host), number, host)


@dataclass(frozen=True, slots=True)
class Service:
    """What is deployed, watched and healed."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    runtime: str = "auto"
    replicas: tuple[Replica, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)  # path where it is run → template beside the site
    secrets: Mapping[str, str] = field(default_factory=dict)  # environment variable → name of a secret
    environment: Mapping[str, str] = field(default_factory=dict)
    once: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    schema: Schema = Schema()
    probe: Probe | None = None
    objective: Objective = Objective()
    logs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ("restart",)
    volumes: Mapping[str, str] = field(default_factory=dict)  # path where it is run → name of a volume
    user: str = ""
    stop_signal: str = "TERM"
    stop_grace_s: float = 10.0

    @property
    def entity(self) -> EntityId:
        return entity("service", self.name)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tenant may send and keep."""

    series: int = 100_000
    samples_per_s: float = 50_000.0
    log_bytes_per_day: int = 10 * 10**9


@dataclass(frozen=True, slots=True)
class Tenant:
    """A group of people who use the cloud, what of it they use, and how far they may go."""

    name: str
    project: str = ""
    limits: Limits = Limits()
    uses: tuple[str, ...] = ()
    probe: Probe | None = None
    objective: Objective = Objective()
    seats: int = 0
    expires_ns: int = 0
    credits: float = 0.0

    @property
    def entity(self) -> EntityId:
        return entity("tenant", self.name)


@dataclass(frozen=True, slots=True)
class Volume:
    """Where a service's data rests. With `size` it is a file system of that size of its own, else a folder."""

    name: str
    size: int = 0
    max: int = 0  # how far `grow` may take it; `size` where it was not given
    host: str = ""

    @property
    def entity(self) -> EntityId:
        return entity("volume", self.name)


@dataclass(frozen=True, slots=True)
class Image:
    """A root file system built here from Debian packages."""

    name: str
    debian: str = "bookworm"
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remedies:
    """The guard rails of what the house may do by itself."""

    budget: int = 6
    window_s: float = 3600.0
    approve: tuple[str, ...] = ("fence", "rollback")
    quarantine_after: int = 3


@dataclass(frozen=True, slots=True)
class Site:
    """The whole declaration, checked. `sections` holds those that a room to come has added."""

    name: str
    hosts: Mapping[str, Host] = field(default_factory=dict)
    zones: Mapping[str, Zone] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    images: Mapping[str, Image] = field(default_factory=dict)
    remedies: Remedies = Remedies()
    templates: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    """The main file as it was written."""

    sources: Mapping[str, str] = field(default_factory=dict)
    """Every file it was read from, by its name beside the main one."""
