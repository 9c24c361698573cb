"""How tests use the real OpenStack: projects, networks, servers, volumes, faults; by its HTTP APIs. No test here.

A small client of its own, on purpose: the house's client is what is tested.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from openstack import configs
from openstack.cloud import Cloud, wait

COMPUTE = {"X-OpenStack-Nova-API-Version": "2.90"}


class Driver:
    """The administrator, or another user, of a `Cloud` that is up."""

    def __init__(self, cloud: Cloud, user: str = "admin", project: str = "admin") -> None:
        self.cloud = cloud
        self._user, self._project = user, project
        self._http = httpx.Client(timeout=60)
        self.log_in()

    def log_in(self) -> str:
        """A new token of this user, scoped to the project."""
        scope = {"project": {"name": self._project, "domain": {"id": "default"}}}
        who = {"name": self._user, "password": configs.PASSWORD, "domain": {"id": "default"}}
        told = self._http.post(
            f"{self.cloud.url('keystone')}/v3/auth/tokens",
            json={"auth": {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": scope}},
        )
        told.raise_for_status()
        self.token = told.headers["X-Subject-Token"]
        self.project_id: str = told.json()["token"]["project"]["id"]
        self._http.headers["X-Auth-Token"] = self.token
        return self.token

    def ask(self, method: str, service: str, path: str, body: Any = None, **headers: str) -> Any:
        """An answer as JSON (None when there is none); an error as AssertionError with its text."""
        extra = COMPUTE if service == "nova" else {}
        told = self._http.request(
            method, self.cloud.url(service) + path, json=body, headers={**extra, **headers}
        )
        assert told.status_code < 400, f"{method} {path}: {told.status_code} {told.text}"
        return told.json() if told.content else None

    # ---------------------------------------------------------------- who

    def catalogue(self) -> None:
        """Users, roles, services and endpoints, and the project `demo`: what a deployment tool sets up."""
        roles = {one["name"]: one["id"] for one in self.ask("GET", "keystone", "/v3/roles")["roles"]}
        for missing in {"service"} - set(roles):
            roles[missing] = self.ask("POST", "keystone", "/v3/roles", {"role": {"name": missing}})["role"][
                "id"
            ]
        projects = {name: self.create_project(name) for name in ("service", "demo")}
        for name, (kind, path) in configs.CATALOGUE.items():
            self._service(name, kind, path)
            if name != "keystone":
                self.create_user(name, projects["service"], roles["admin"], roles["service"])
        self.create_user("demo", projects["demo"], roles["member"], roles["reader"])

    def create_project(self, name: str) -> str:
        body = {"project": {"name": name, "domain_id": "default"}}
        return str(self.ask("POST", "keystone", "/v3/projects", body)["project"]["id"])

    def create_user(self, name: str, project: str, *roles: str) -> str:
        body = {"user": {"name": name, "password": configs.PASSWORD, "domain_id": "default"}}
        user = str(self.ask("POST", "keystone", "/v3/users", body)["user"]["id"])
        for role in roles:
            self.ask("PUT", "keystone", f"/v3/projects/{project}/users/{user}/roles/{role}")
        return user

    def _service(self, name: str, kind: str, path: str) -> None:
        self.register(name, kind, self.cloud.url(name) + path)

    def register(self, name: str, kind: str, url: str) -> None:
        """Puts a service and its address into the catalogue."""
        made = self.ask("POST", "keystone", "/v3/services", {"service": {"name": name, "type": kind}})[
            "service"
        ]["id"]
        for interface in ("public", "internal"):
            body = {"service_id": made, "url": url, "interface": interface, "region_id": "RegionOne"}
            self.ask("POST", "keystone", "/v3/endpoints", {"endpoint": body})

    # ---------------------------------------------------------------- what servers need

    def furnish(self) -> None:
        """An image, two flavours, a tenant's network behind a router, and a network outside."""
        body = {"name": "cirros", "disk_format": "raw", "container_format": "bare", "visibility": "public"}
        self.image = str(self.ask("POST", "glance", "/v2/images", body)["id"])
        self._http.put(
            f"{self.cloud.url('glance')}/v2/images/{self.image}/file",
            content=b"\0" * 4096, headers={"Content-Type": "application/octet-stream"},
        ).raise_for_status()  # fmt: skip
        self.flavors = {
            name: self.create_flavor(name, disk) for name, disk in (("m1", 1), ("huge", 10_000_000))
        }
        self.network, self.subnet = self.create_network("net1", "10.7.0.0/24")
        outside = {
            "router:external": True,
            "provider:network_type": "flat",
            "provider:physical_network": "physnet1",
        }
        self.outside, _ = self.create_network("outside", "203.0.113.0/24", **outside)
        gateway = {"name": "r1", "external_gateway_info": {"network_id": self.outside}}
        self.router = str(self.ask("POST", "neutron", "/v2.0/routers", {"router": gateway})["router"]["id"])
        self.ask(
            "PUT", "neutron", f"/v2.0/routers/{self.router}/add_router_interface", {"subnet_id": self.subnet}
        )

    def create_flavor(self, name: str, disk: int) -> str:
        """Its id. The fake hypervisor has 600,000 GB, so a larger disk finds no valid host."""
        body = {"flavor": {"name": name, "ram": 512, "vcpus": 1, "disk": disk}}
        return str(self.ask("POST", "nova", "/v2.1/flavors", body)["flavor"]["id"])

    def create_network(self, name: str, cidr: str, **more: Any) -> tuple[str, str]:
        """(network, its subnet)."""
        made = self.ask("POST", "neutron", "/v2.0/networks", {"network": {"name": name, **more}})["network"][
            "id"
        ]
        subnet = {"network_id": made, "ip_version": 4, "cidr": cidr, "name": f"{name}-v4"}
        return made, self.ask("POST", "neutron", "/v2.0/subnets", {"subnet": subnet})["subnet"]["id"]

    # ---------------------------------------------------------------- servers and volumes

    def create_server(
        self, name: str, *, flavor: str = "m1", host: str = "", wait_s: float = 60, **more: Any
    ) -> str:
        """Its id. Waits until it is ACTIVE (or ERROR, which a test may want) unless `wait_s` is 0."""
        server: dict[str, Any] = {
            "name": name, "imageRef": self.image, "flavorRef": self.flavors[flavor],
            "networks": [{"uuid": self.network}], **more,
        }  # fmt: skip
        if host:
            server["host"] = host
        made = str(self.ask("POST", "nova", "/v2.1/servers", {"server": server})["server"]["id"])
        if wait_s:
            wait(
                lambda: self.server(made)["status"] in ("ACTIVE", "ERROR"),
                wait_s,
                lambda: str(self.server(made)),
            )
        return made

    def server(self, server: str) -> dict[str, Any]:
        return dict(self.ask("GET", "nova", f"/v2.1/servers/{server}")["server"])

    def servers(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "nova", "/v2.1/servers/detail?all_tenants=1")["servers"])

    def act(self, server: str, **action: Any) -> None:
        """`act(id, **{"os-stop": None})`, `reboot={"type": "HARD"}`, `pause=None`, …."""
        self.ask("POST", "nova", f"/v2.1/servers/{server}/action", action)

    def delete_server(self, server: str, *, wait_s: float = 30) -> None:
        self.ask("DELETE", "nova", f"/v2.1/servers/{server}")
        if wait_s:
            wait(
                lambda: all(one["id"] != server for one in self.servers()), wait_s, f"{server} is still there"
            )

    def create_volume(self, name: str, gigabytes: int = 1, *, wait_s: float = 60) -> str:
        path = f"/v3/{self.project_id}/volumes"
        body = {"volume": {"name": name, "size": gigabytes}}
        made = str(self.ask("POST", "cinder", path, body)["volume"]["id"])

        def status() -> str:
            return str(self.ask("GET", "cinder", f"{path}/{made}")["volume"]["status"])

        if wait_s:
            wait(lambda: status() in ("available", "error"), wait_s, status)
        return made

    def floating_ip(self, server: str) -> str:
        """An address outside for a server; its id."""
        port = self.ask("GET", "neutron", f"/v2.0/ports?device_id={server}")["ports"][0]["id"]
        body = {"floatingip": {"floating_network_id": self.outside, "port_id": port}}
        return str(self.ask("POST", "neutron", "/v2.0/floatingips", body)["floatingip"]["id"])

    # ---------------------------------------------------------------- services, agents and their faults

    def services(self) -> dict[tuple[str, str], str]:
        """(binary, host) → `up` or `down`, as nova says."""
        told = self.ask("GET", "nova", "/v2.1/os-services")["services"]
        return {(one["binary"], one["host"]): one["state"] for one in told}

    def agents(self) -> dict[tuple[str, str], bool]:
        """(binary, host) → alive, as neutron says."""
        told = self.ask("GET", "neutron", "/v2.0/agents")["agents"]
        return {(one["binary"], one["host"]): one["alive"] for one in told}

    def silence(self, *agents: tuple[str, str]) -> None:
        """These (binary, host) of neutron's agents report no more, from now on; none: all report again."""
        path: Path = self.cloud.folder / "state" / "silent"
        path.write_text("".join(f"{binary} {host}\n" for binary, host in agents))

    def ready(self, timeout_s: float = 60) -> None:
        """Waits until a server could be booted."""
        need = {("nova-conductor", "fake1"), ("nova-scheduler", "fake1"), ("nova-compute", "fake1")}

        def up() -> bool:
            alive = {one for one, state in self.services().items() if state == "up"}
            return need <= alive and any(self.agents().values()) and self._scheduled()

        self.cloud.ready(timeout_s)
        wait(up, timeout_s, lambda: f"{self.services()} {self.agents()}\n{self.cloud.said('nova-compute')}")

    def _scheduled(self) -> bool:
        """Whether the scheduler's cell knows the hypervisor."""
        return bool(self.ask("GET", "nova", "/v2.1/os-hypervisors")["hypervisors"])
