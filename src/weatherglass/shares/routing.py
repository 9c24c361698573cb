"""A router's packets: nft rules and kernel settings from the policy, and whether a tenant's packets come back as they went.

Pure. `script` is a shell script that replaces its own table as a whole, so that running it twice is
running it once. On a leg nothing passes whose source is not the tenant's; between legs nothing passes at all; LNet's
port leads to the guard where there is one; NFS is forwarded to its server and to nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from weatherglass.shares.ganesha import cidrs
from weatherglass.shares.policy import FileSystem, Router, Share

LNET_PORT, GUARD_IN, GUARD_OUT = 988, 9880, 9881
GUARD_MARK = 0x57470001
TABLE = "weatherglass_shares"


def served(fs: FileSystem, router: Router) -> list[Share]:
    return [share for share in fs.shares if share.router == router.name]


def rules(fs: FileSystem, router: Router) -> str:
    """The router's nft table, replaced as a whole."""
    shares = served(fs, router)
    legs = {share.tenant: router.interface(share.net) for share in shares}
    out = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    out += ["  chain prerouting {", "    type filter hook prerouting priority raw; policy accept;"]
    for share in shares:
        allowed = ", ".join(cidr for one in share.ranges for cidr in cidrs(one))
        own = f"    iifname {legs[share.tenant]}"
        out += [
            f"{own} ip saddr != {{ {allowed} }} counter drop",
            f"{own} fib saddr . iif oif missing counter drop",
        ]
        out.append(f"{own} meta nfproto ipv6 counter drop")
    out += ["  }", "  chain forward {", "    type filter hook forward priority filter; policy drop;"]
    out.append("    ct state established,related accept")
    if fs.nfs:
        for share in shares:
            to = f" ip daddr {fs.address}" if fs.address else ""
            out.append(f"    iifname {legs[share.tenant]}{to} tcp dport {fs.port} ct state new accept")
    out += ["    counter", "  }"]
    if fs.nfs or not router.guard:
        return "\n".join([*out, "}"]) + "\n"
    out += ["  chain input {", "    type filter hook input priority filter; policy accept;"]
    for share in shares:
        own = f"    iifname {legs[share.tenant]} tcp dport"
        out += [
            f"{own} {GUARD_IN} ct status dnat accept",
            f"{own} {{ {LNET_PORT}, {GUARD_IN}, {GUARD_OUT} }} counter drop",
        ]
    out += ["  }", "  chain to_guard {", "    type nat hook prerouting priority dstnat; policy accept;"]
    for share in shares:
        address = router.legs[share.net].partition("@")[0]
        own = f"    iifname {legs[share.tenant]} ip daddr {address} tcp dport {LNET_PORT}"
        out.append(f"{own} dnat ip to {address}:{GUARD_IN}")
    out += ["  }", "  chain by_guard {", "    type nat hook output priority -100; policy accept;"]
    for share in shares:
        address = router.legs[share.net].partition("@")[0]
        own = f"    oifname {legs[share.tenant]} tcp dport {LNET_PORT} meta mark != {GUARD_MARK:#x}"
        out.append(f"{own} dnat ip to {address}:{GUARD_OUT}")
    return "\n".join([*out, "  }", "}"]) + "\n"


def settings(fs: FileSystem, router: Router) -> dict[str, str]:
    """sysctl settings: strict reverse paths on every leg; nothing is forwarded but where NFS needs it."""
    found = {"net.ipv4.ip_forward": "1" if fs.nfs else "0", "net.ipv6.conf.all.forwarding": "0"}
    for share in served(fs, router):
        leg = f"net.ipv4.conf.{router.interface(share.net).replace('.', '/')}"
        found |= {f"{leg}.rp_filter": "1", f"{leg}.accept_redirects": "0", f"{leg}.accept_source_route": "0"}
        found |= {f"{leg}.arp_ignore": "1", f"{leg}.arp_announce": "2"}
    return found


def script(fs: FileSystem, router: Router) -> str:
    """Everything as a shell script for the router."""
    lines = ["#!/bin/sh", "set -e", f"# router {router.name} of {fs.name}"]
    lines += [f"sysctl -qw {name}={value}" for name, value in settings(fs, router).items()]
    return "\n".join([*lines, "nft -f - <<'END'", rules(fs, router) + "END"]) + "\n"


def port_security(fs: FileSystem, share: Share) -> dict[str, object]:
    """What a tenant's ports need in OpenStack: security on, and no address pair by which a port could name another."""
    return {"port_security_enabled": True, "allowed_address_pairs": [], "network": share.network or share.net}


class Asymmetry(NamedTuple):
    """A tenant's packets come back by another way than they went."""

    tenant: str
    came: str
    goes: str

    def __str__(self) -> str:
        return (
            f"{self.tenant}: packets come by {self.came} and the answers go by {self.goes or 'no way at all'}"
        )


def asymmetries(fs: FileSystem, back: Mapping[str, str]) -> list[Asymmetry]:
    """Tenants whose answers take another way. `back`: tenant → the gateway by which the server answers ("" is none)."""
    found = []
    for share in fs.shares:
        router = fs.routers[share.router]
        gateway = router.server_nid.partition("@")[0]
        if back.get(share.tenant, "") != gateway:
            found.append(Asymmetry(share.tenant, gateway, back.get(share.tenant, "")))
    return found
