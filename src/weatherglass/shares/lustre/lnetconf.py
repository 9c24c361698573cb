"""`/etc/lnet.conf` for routers, servers and clients: the same nets and routes as the commands, at every start. Pure.

The form is that of `lnetctl export --backup`, which `lnetctl import` takes (lnetctl(8)).
"""

from __future__ import annotations

import posixpath

from weatherglass.shares.lustre.features import has
from weatherglass.shares.policy import FileSystem


def files(fs: FileSystem) -> dict[str, str]:
    """Place → the text of its lnet.conf; `servers` have their own nets already and get routes alone."""
    found = {"servers": _document({}, [(share.net, fs.routers[share.router].server_nid) for share in fs.shares],
                                  {"drop_asym_route": 1} if has(fs.version, "drop_asym_route") else {})}  # fmt: skip
    for name, router in fs.routers.items():
        nets = [share.net for share in fs.shares if share.router == name]
        if nets:
            mine = {net: router.interface(net) for net in (router.server_net, *nets)}
            found[f"router {name}"] = _document(mine, [], {}, routing=True)
    for share in fs.shares:
        router = fs.routers[share.router]
        found[f"clients {share.tenant}"] = _document(
            {share.net: share.interface}, [(router.server_net, router.legs[share.net])], {}
        )
    return found


def _short(net: str) -> str:
    """`tcp0` is `tcp` where LNet writes it."""
    return net[:-1] if net.endswith("0") and net[:-1].isalpha() else net


def _document(
    nets: dict[str, str], routes: list[tuple[str, str]], numbers: dict[str, int], *, routing: bool = False
) -> str:
    out = []
    if nets:
        out.append("net:")
        for net, interface in nets.items():
            out += [f"    - net type: {_short(net)}", "      local NI(s):", "        - interfaces:"]
            out.append(f"              0: {interface}")
    if routes:
        out.append("route:")
        for net, gateway in routes:
            out += [f"    - net: {_short(net)}", f"      gateway: {gateway}"]
    if routing:
        out += ["routing:", "    - enable: 1"]
    if numbers:
        out.append("global:")
        out += [f"    {name}: {value}" for name, value in numbers.items()]
    return "\n".join(out) + "\n"


def place_file(place: str) -> str:
    """A place's file name: `router lnr-1` is `router-lnr-1/lnet.conf`."""
    return posixpath.join(place.replace(" ", "-"), "lnet.conf")
