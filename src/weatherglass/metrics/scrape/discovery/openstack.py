"""`openstack_sd_configs`: a cloud's servers (`instance`) or hypervisors, with Prometheus' own meta labels.

The cloud is an entry of a clouds.yaml beside the house, so that no password stands in the declaration; it is asked by
the house's own client, that can only read. Source: Prometheus' configuration manual, `openstack_sd_config`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.base.units import parse_duration
from weatherglass.metrics.openstack.client import Client
from weatherglass.metrics.openstack.clouds import choose, read_clouds
from weatherglass.metrics.scrape.discovery.groups import Finding, Group, Labels

ROLES = ("instance", "hypervisor")
_META = "__meta_openstack_"
_KNOWN = {"role", "clouds", "cloud", "all_tenants", "port", "refresh_interval", "region"}
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def hypervisors(answered: list[Mapping[str, Any]], port: int) -> Iterator[Labels]:
    """A target a hypervisor that has an address."""
    for one in answered:
        address = str(one.get("host_ip") or "")
        if address:
            named = {
                "host_ip": address,
                "id": one.get("id", ""),
                "hostname": one.get("hypervisor_hostname", ""),
                "state": one.get("state", ""),
                "status": one.get("status", ""),
                "type": one.get("hypervisor_type", ""),
            }
            yield {
                "__address__": _address(address, port),
                **{f"{_META}hypervisor_{name}": str(value) for name, value in named.items()},
            }


Public = Mapping[tuple[str, str], str]
"""(a server's id or a project's, a private address) → the floating address that leads there."""


def leading(floating: list[Mapping[str, Any]]) -> Public:
    """Of Neutron's floating addresses. (Nova's own list of them lags behind by a minute.)"""
    found = {}
    for one in floating:
        fixed, public = one.get("fixed_ip_address"), one.get("floating_ip_address")
        if fixed and public:
            server = (one.get("port_details") or {}).get("device_id")
            found[server or one.get("project_id", ""), fixed] = public
    return found


def instances(
    answered: list[Mapping[str, Any]], flavors: Mapping[str, str], public: Public, port: int
) -> Iterator[Labels]:
    """A target a private address of a server; its floating address, where it has one, is `public_ip`."""
    for server in answered:
        flavor = server.get("flavor") or {}
        image = server.get("image") or {}
        about = {
            "instance_id": server.get("id", ""),
            "instance_name": server.get("name", ""),
            "instance_status": server.get("status", ""),
            "instance_flavor": flavor.get("original_name") or flavors.get(str(flavor.get("id", "")), ""),
            "instance_image": image.get("id", "") if isinstance(image, dict) else "",
            "project_id": server.get("tenant_id", ""),
            "user_id": server.get("user_id", ""),
        }
        for key, value in (server.get("metadata") or {}).items():
            about[f"tag_{_NOT_LABEL.sub('_', str(key))}"] = value
        for pool, addresses in (server.get("addresses") or {}).items():
            for one in addresses:
                if one.get("OS-EXT-IPS:type") == "floating" or not one.get("addr"):
                    continue
                named = {**about, "address_pool": pool, "private_ip": one["addr"]}
                for owner in (server.get("id", ""), server.get("tenant_id", "")):
                    if (owner, one["addr"]) in public:
                        named["public_ip"] = public[owner, one["addr"]]
                yield {
                    "__address__": _address(str(one["addr"]), port),
                    **{f"{_META}{name}": str(value) for name, value in named.items()},
                }


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True)
class OpenStackDiscovery:
    """A cloud that does not answer, or refuses, keeps what was found before."""

    role: str
    clouds: str  # the path of clouds.yaml
    cloud: str = ""
    port: int = 80
    all_tenants: bool = False
    every_s: float = 60.0
    _client: list[Client] = field(default_factory=list, compare=False, repr=False)

    def look(self) -> Finding:
        source = f"{self.role} {self.cloud}".strip()
        try:
            client = self._asked()
            if self.role == "hypervisor":
                listed = client.list("nova", "/os-hypervisors/detail", "hypervisors")
                found = tuple(hypervisors(listed, self.port))
            else:
                params = {"all_tenants": "1"} if self.all_tenants else {}
                flavors = {
                    str(one.get("id")): str(one.get("name", ""))
                    for one in client.list("nova", "/flavors/detail", "flavors")
                }
                listed = client.list("nova", "/servers/detail", "servers", params)
                floating = (
                    client.list("neutron", "/floatingips", "floatingips") if client.has("neutron") else []
                )
                found = tuple(instances(listed, flavors, leading(floating), self.port))
        except (WeatherglassError, OSError) as error:
            return Finding((), {source: str(error)})
        return Finding((Group(source, found),))

    def _asked(self) -> Client:
        if not self._client:
            text = Path(self.clouds).read_text(encoding="utf-8")
            self._client.append(Client(choose(read_clouds(text, self.clouds), self.cloud, self.clouds)))
        return self._client[0]


def configured(
    given: Mapping[str, Any], where: str = "openstack_sd_configs", house: object = None
) -> OpenStackDiscovery:
    """Of a configuration (role, clouds, cloud, all_tenants, port, refresh_interval). Raises Invalid."""
    for name in given:
        if name not in _KNOWN:
            hint = "name a clouds.yaml: clouds: /etc/openstack/clouds.yaml, cloud: mine"
            raise Invalid(f"{name} is not spoken here", where=f"{where}.{name}", mend=hint)
    role, clouds = str(given.get("role", "")), str(given.get("clouds", ""))
    if role not in ROLES:
        raise Invalid(f"{role!r} is no role", where=f"{where}.role", mend="instance or hypervisor")
    if not clouds:
        raise Invalid(
            "no clouds.yaml is named", where=f"{where}.clouds", mend="clouds: /etc/openstack/clouds.yaml"
        )
    port = given.get("port", 80)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65_536:
        raise Invalid(f"{port!r} is no port", where=f"{where}.port")
    try:
        every = parse_duration(str(given.get("refresh_interval", "60s")))
    except ValueError as error:
        raise Invalid(str(error), where=f"{where}.refresh_interval") from None
    return OpenStackDiscovery(
        role, clouds, str(given.get("cloud", "")), port, bool(given.get("all_tenants")), max(every, 1.0)
    )
