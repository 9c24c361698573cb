"""`compile(topology, node)` → the node's flows. Pure; the tables are declared in `tables`, a table a function here.

Costs what the node sees: a flow or a few for each port in its networks and those its routers join, never one for each
pair. Flows are in ovs-ofctl's text (OpenFlow 1.5). The traps that shaped it are in docs/network.md with their tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from weatherglass.base.errors import Invalid, NotFound
from weatherglass.network.tables import NUMBER, TUNNEL
from weatherglass.network.topology import Address, Network, Port, Prefix, Rule, Topology, link_local

GROUP_REGISTERS = ("reg5", "reg4", "reg3")
_BITS = 32
_OUT_ZONE, _IN_ZONE = "NXM_NX_REG6[0..15]", "NXM_NX_REG7[0..15]"
_BACK = f"move:NXM_NX_REG6[]->NXM_NX_REG7[],goto_table:{NUMBER['deliver']}"
_SWAP_MACS = "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]"
_FAMILY = {4: "ip", 6: "ipv6"}
_SOURCE, _TARGET = {4: "nw_src", 6: "ipv6_src"}, {4: "nw_dst", 6: "ipv6_dst"}
_PROTOCOL = {
    (4, "any"): "ip", (4, "icmp"): "icmp", (4, "tcp"): "tcp", (4, "udp"): "udp", (4, "sctp"): "sctp",
    (6, "any"): "ipv6", (6, "icmpv6"): "icmp6", (6, "tcp"): "tcp6", (6, "udp"): "udp6", (6, "sctp"): "sctp6",
}  # fmt: skip
AGENT = "controller(reason=action,max_len=65535)"
TOO_FAR = "controller(reason=invalid_ttl,max_len=65535)"


class Flow(NamedTuple):
    """One flow. Its place (table, priority, match) is what it is known by; its text is ovs-ofctl's."""

    table: int
    priority: int
    match: str
    actions: str

    def __str__(self) -> str:
        match = f",{self.match}" if self.match else ""
        return f"table={self.table},priority={self.priority}{match},actions={self.actions}"


def compile(topology: Topology, node: str) -> list[Flow]:
    """Every flow of a node, each place once. Raises NotFound for a node that is not declared."""
    if node not in topology.nodes:
        raise NotFound(f"there is no node {node}", where=node, mend=f"one of {', '.join(topology.nodes)}")
    view = _View(topology, node)
    found: dict[tuple[int, int, str], Flow] = {}
    for part in (
        _classify, _guard, _reach, _out, _arp, _route, _switch, _whence, _in, _deliver,
    ):  # fmt: skip
        for flow in part(view):
            found.setdefault(flow[:3], flow)
    return list(found.values())


class _View:
    """What a node sees, looked up once."""

    def __init__(self, topology: Topology, node: str) -> None:
        self.topology, self.node = topology, topology.nodes[node]
        self.local = topology.by_node.get(node, [])
        self.networks = topology.seen_from(node)
        self.domain = topology.domain_of
        self.own = {port.network for port in self.local}
        self.ports = [
            (net, port, topology.spoken[port.name])
            for net in self.networks
            for port in topology.by_network.get(net.name, ())
        ]
        self.routers = {
            router.name: router
            for net in self.networks
            if (router := topology.router_of.get(net.name)) is not None
        }
        self.named: dict[str, set[str]] = {"ingress": set(), "egress": set()}
        self.bits = self._group_bits()

    def _group_bits(self) -> dict[str, tuple[str, int]]:
        """Groups that rules of local ports name as the other side → (register, bit)."""
        for group in {name for port in self.local if port.secured for name in port.groups}:
            for rule in self.topology.groups[group].rules:
                if rule.group:
                    self.named[rule.direction].add(rule.group)
        named = sorted(self.named["ingress"] | self.named["egress"])
        if len(named) > _BITS * len(GROUP_REGISTERS):
            raise Invalid(
                f"rules on {self.node.name} name {len(named)} groups as the other side; at most 96",
                where=f"nodes.{self.node.name}",
                mend="prefixes instead of groups in some",
            )
        return {name: (GROUP_REGISTERS[n // _BITS], 1 << n % _BITS) for n, name in enumerate(named)}

    def vni(self, port: Port) -> int:
        return self.topology.networks[port.network].vni


def _push(vlan: int) -> str:
    return f"push_vlan:0x8100,set_field:{vlan | 0x1000}->vlan_vid," if vlan else ""


def _classify(view: _View) -> Iterator[Flow]:
    table, guard, land = NUMBER["classify"], NUMBER["guard"], NUMBER["land"]
    for port in view.local:
        where = (
            f"set_field:{port.number}->reg6,set_field:{view.vni(port)}->metadata,"
            f"set_field:{view.domain[port.network]}->reg2,goto_table:{guard}"
        )
        if port.vlan:
            yield Flow(table, 200, f"in_port={port.ofport},dl_vlan={port.vlan}", f"pop_vlan,{where}")
        else:
            yield Flow(table, 150, f"in_port={port.ofport},vlan_tci=0x0000/0x1fff", where)
    for network in view.networks:
        where = f"set_field:{network.vni}->metadata,set_field:{view.domain[network.name]}->reg2,"
        if network.provider is None:
            yield Flow(table, 100, f"in_port={TUNNEL},tun_id={network.vni}", f"{where}goto_table:{land}")
        elif network.provider.wire in view.node.wires:
            wire, vlan = view.node.wires[network.provider.wire], network.provider.vlan
            tag = f"dl_vlan={vlan}" if vlan else "vlan_tci=0x0000/0x1fff"
            pop = "pop_vlan," if vlan else ""
            for kind, to in (("arp,", NUMBER["arp"]), ("icmp6,icmp_type=135,", NUMBER["arp"]), ("", land)):
                priority = 110 if kind else 100
                match = f"{kind}in_port={wire},{tag}"
                yield Flow(table, priority, match, f"{pop}{where}goto_table:{to}")
    yield Flow(table, 0, "", "drop")


# --- who one is ------------------------------------------------------------------------------------------


def _speaks_for(port: Port) -> Iterator[tuple[str, Prefix | Address]]:
    """(MAC, address or prefix) pairs a port may have as its source."""
    for address in port.addresses:
        yield port.mac, address
    if any(address.version == 6 for address in port.addresses):
        yield port.mac, link_local(port.mac)
    for pair in port.pairs:
        yield pair.mac, pair.prefix


def _guard(view: _View) -> Iterator[Flow]:
    table, reach, arp = NUMBER["guard"], NUMBER["reach"], NUMBER["arp"]
    # What only a network's own servers and routers may say, for every port alike.
    for words in (
        "udp,tp_src=67,tp_dst=68",
        "udp6,tp_src=547,tp_dst=546",
        "icmp6,icmp_type=134",
        "icmp6,icmp_type=137",
    ):
        yield Flow(table, 130, words, "drop")
    for port in view.local:
        me = f"reg6={port.number}"
        if not port.secured:
            for words in ("udp,tp_src=68,tp_dst=67", "udp6,tp_src=546,tp_dst=547", "icmp6,icmp_type=133"):
                yield Flow(table, 120, f"{me},{words}", AGENT)
            yield Flow(table, 140, f"{me},icmp6,icmp_type=135", f"goto_table:{arp}")
            yield Flow(table, 140, f"{me},arp", f"goto_table:{arp}")
            yield Flow(table, 90, me, f"goto_table:{NUMBER['route']}")
            continue
        mine = f"{me},dl_src={port.mac}"
        yield Flow(table, 120, f"{mine},udp,nw_src=0.0.0.0,tp_src=68,tp_dst=67", AGENT)
        yield Flow(table, 120, f"{mine},arp,arp_spa=0.0.0.0,arp_sha={port.mac}", f"goto_table:{arp}")
        if any(address.version == 6 for address in port.addresses):
            local = link_local(port.mac)
            yield Flow(table, 120, f"{mine},udp6,ipv6_src={local},tp_src=546,tp_dst=547", AGENT)
            yield Flow(table, 120, f"{mine},icmp6,ipv6_src={local},icmp_type=133", AGENT)
        for mac, address in _speaks_for(port):
            said = f"{me},dl_src={mac}"
            if address.version == 4:
                yield Flow(table, 120, f"{said},udp,nw_src={address},tp_src=68,tp_dst=67", AGENT)
                yield Flow(table, 100, f"{said},ip,nw_src={address}", f"goto_table:{reach}")
                yield Flow(table, 100, f"{said},arp,arp_spa={address},arp_sha={mac}", f"goto_table:{arp}")
                continue
            yield Flow(table, 100, f"{said},ipv6,ipv6_src={address}", f"goto_table:{reach}")
            for option in (mac, "00:00:00:00:00:00"):  # the option may be left out
                asks = f"{said},icmp6,ipv6_src={address},icmp_type=135,nd_sll={option}"
                yield Flow(table, 125, asks, f"goto_table:{arp}")
                tells = f"{said},icmp6,ipv6_src={address},icmp_type=136,nd_target={address},nd_tll={option}"
                yield Flow(table, 125, tells, f"goto_table:{reach}")
    for kind in (133, 135, 136):
        yield Flow(table, 115, f"icmp6,icmp_type={kind}", "drop")
    yield Flow(table, 0, "", "drop")


# --- groups ----------------------------------------------------------------------------------------------


def _members(view: _View, direction: str, table: int, field: dict[int, str], to: int) -> Iterator[Flow]:
    """The groups of the other side, by its address in the domain, as bits of the group registers."""
    named = view.named[direction]
    loads: dict[tuple[str, ...], str] = {}
    for network, port, spoken in view.ports if named else ():
        if port.groups not in loads:
            loads[port.groups] = _loads([view.bits[group] for group in port.groups if group in named], to)
        if actions := loads[port.groups]:
            domain = view.domain[network.name]
            for version, address in spoken:
                yield Flow(
                    table, 100, f"{_FAMILY[version]},reg2={domain},{field[version]}={address}", actions
                )
    yield Flow(table, 0, "", f"goto_table:{to}")


def _loads(bits: list[tuple[str, int]], to: int) -> str:
    masks: dict[str, int] = {}
    for register, bit in bits:
        masks[register] = masks.get(register, 0) | bit
    sets = "".join(f"set_field:{mask:#x}->{register}," for register, mask in masks.items())
    return f"{sets}goto_table:{to}" if sets else ""


def _reach(view: _View) -> Iterator[Flow]:
    return _members(view, "egress", NUMBER["reach"], _TARGET, NUMBER["out_track"])


def _whence(view: _View) -> Iterator[Flow]:
    return _members(view, "ingress", NUMBER["whence"], _SOURCE, NUMBER["in_track"])


def masks(first: int, last: int) -> list[tuple[int, int]]:
    """(value, mask) pairs of 16 bits that together are exactly first … last."""
    found = []
    while first <= last:
        size = first & -first or 1 << 16
        while first + size - 1 > last:
            size >>= 1
        found.append((first, 0xFFFF & ~(size - 1)))
        first += size
    return found


def _ports(rule: Rule) -> list[str]:
    """The matches of a rule's port range, or of its ICMP type and code."""
    if rule.protocol in ("icmp", "icmpv6"):
        kind = "icmp_type"
        found = f",{kind}={rule.first - 1}" if rule.first else ""
        return [found + (f",icmp_code={rule.last - 1}" if rule.last else "")]
    if not rule.first and not rule.last:
        return [""]
    return [
        f",tp_dst={value:#x}/{mask:#x}" if mask != 0xFFFF else f",tp_dst={value}"
        for value, mask in masks(rule.first, rule.last or rule.first)
    ]


def _let(view: _View, rule: Rule) -> list[str]:
    """What a rule matches, without the port it is for and the connection's state."""
    words = (
        _PROTOCOL.get((rule.version, rule.protocol)) or f"{_FAMILY[rule.version]},nw_proto={rule.protocol}"
    )
    if rule.prefix is not None and rule.prefix.prefixlen:
        field = _SOURCE if rule.direction == "ingress" else _TARGET
        words += f",{field[rule.version]}={rule.prefix}"
    if rule.group:
        register, bit = view.bits[rule.group]
        words += f",{register}={bit:#x}/{bit:#x}"
    return [f"{words}{ports}" for ports in _ports(rule)]


def _tracked(table: int, to: int) -> Iterator[Flow]:
    yield Flow(table, 110, "ct_state=+trk+inv", "drop")
    yield Flow(table, 100, "ct_state=+trk+est-inv", f"goto_table:{to}")
    yield Flow(table, 100, "ct_state=+trk+rel-inv", f"goto_table:{to}")
    # A connection that lost its state must not come back as a new one in its middle.
    for family in ("tcp", "tcp6"):
        yield Flow(table, 95, f"ct_state=+trk+new,{family},tcp_flags=-syn", "drop")
        yield Flow(table, 95, f"ct_state=+trk+new,{family},tcp_flags=+syn+ack", "drop")
    yield Flow(table, 0, "", "drop")


def _rules(view: _View, direction: str, table: int, register: str, zone: str, to: int) -> Iterator[Flow]:
    pass_on = f"ct(commit,zone={zone}),goto_table:{to}"
    lets: dict[str, list[str]] = {}
    for port in view.local:
        if not port.secured:
            continue
        for name in port.groups:
            if name not in lets:
                rules = view.topology.groups[name].rules
                lets[name] = [
                    words for rule in rules if rule.direction == direction for words in _let(view, rule)
                ]
            for words in lets[name]:
                yield Flow(table, 50, f"ct_state=+trk+new-inv,{register}={port.number},{words}", pass_on)


def _out(view: _View) -> Iterator[Flow]:
    track, rules, route = NUMBER["out_track"], NUMBER["out_rules"], NUMBER["route"]
    for family in ("ip", "ipv6"):
        yield Flow(track, 100, family, f"ct(table={rules},zone={_OUT_ZONE})")
    yield Flow(track, 0, "", "drop")
    yield from _tracked(rules, route)
    yield from _rules(view, "egress", rules, "reg6", _OUT_ZONE, route)


def _in(view: _View) -> Iterator[Flow]:
    track, rules, deliver = NUMBER["in_track"], NUMBER["in_rules"], NUMBER["deliver"]
    for port in view.local:
        if not port.secured:
            yield Flow(track, 110, f"reg7={port.number}", f"goto_table:{deliver}")
    for family in ("ip", "ipv6"):
        yield Flow(track, 100, family, f"ct(table={rules},zone={_IN_ZONE})")
    yield Flow(track, 0, "", "drop")
    yield from _tracked(rules, deliver)
    yield from _rules(view, "ingress", rules, "reg7", _IN_ZONE, deliver)


# --- neighbours and routes -------------------------------------------------------------------------------


def _arp_reply(mac: str, address: str) -> str:
    return (
        f"{_SWAP_MACS},set_field:{mac}->eth_src,set_field:2->arp_op,"
        "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
        f"set_field:{mac}->arp_sha,set_field:{address}->arp_spa,{_BACK}"
    )


def _nd_reply(mac: str, address: str, router: bool) -> str:
    flags = 0xE0000000 if router else 0x60000000  # router, solicited, override (RFC 4861 §4.4)
    return (
        f"{_SWAP_MACS},set_field:{mac}->eth_src,move:NXM_NX_IPV6_SRC[]->NXM_NX_IPV6_DST[],"
        f"set_field:{address}->ipv6_src,set_field:136->icmpv6_type,set_field:{flags:#x}->nd_reserved,"
        f"set_field:2->nd_options_type,goto_table:{NUMBER['advertise']}"
    )


def _answers(network: Network, mac: str, version: int, address: str, router: bool) -> Iterator[Flow]:
    table = NUMBER["arp"]
    if version == 4:
        yield Flow(
            table, 90, f"arp,metadata={network.vni},arp_op=1,arp_tpa={address}", _arp_reply(mac, address)
        )
        return
    match = f"icmp6,metadata={network.vni},icmp_type=135,nd_target={address}"
    yield Flow(table, 90, match, _nd_reply(mac, address, router))
    match = f"icmp6,metadata={network.vni},icmp_type=136,nd_target={address}"
    yield Flow(NUMBER["advertise"], 90, match, f"set_field:{mac}->nd_tll,{_BACK}")


def _arp(view: _View) -> Iterator[Flow]:
    table = NUMBER["arp"]
    for port in view.local:
        # Asked for its own address, a host looks for a double: an answer would be one.
        own = view.topology.spoken[port.name]
        if any(version == 6 for version, _ in own):
            own = (*own, (6, str(link_local(port.mac))))
        for version, address in own:
            kind = "arp,arp_op=1,arp_tpa" if version == 4 else "icmp6,icmp_type=135,nd_target"
            yield Flow(table, 110, f"reg6={port.number},{kind}={address}", "drop")
    for network, port, spoken in view.ports:
        if network.name in view.own or network.provider:
            for version, address in spoken:
                yield from _answers(network, port.mac, version, address, router=False)
            if any(version == 6 for version, _ in spoken):
                yield from _answers(network, port.mac, 6, str(link_local(port.mac)), router=False)
    for network in view.networks:
        router = view.topology.router_of.get(network.name)
        if router is None:
            continue
        for subnet in network.subnets:
            if subnet.gateway is not None:
                yield from _answers(
                    network, router.mac, subnet.gateway.version, str(subnet.gateway), router=True
                )
        if any(subnet.prefix.version == 6 for subnet in network.subnets):
            yield from _answers(network, router.mac, 6, str(link_local(router.mac)), router=True)
    yield Flow(table, 0, "", "drop")
    yield Flow(NUMBER["advertise"], 0, "", "drop")


def _route(view: _View) -> Iterator[Flow]:
    table, hop, switch = NUMBER["route"], NUMBER["next_hop"], NUMBER["switch"]
    for router in view.routers.values():
        mine = f"dl_dst={router.mac}"
        for family in ("ip", "ipv6"):
            for ttl in (0, 1):
                yield Flow(table, 105, f"{family},{mine},nw_ttl={ttl}", TOO_FAR)
        for name in router.networks:
            network = view.topology.networks[name]
            for subnet in network.subnets:
                version: int = subnet.prefix.version
                if subnet.gateway is not None:
                    yield _echo(mine, router.mac, subnet.gateway)
                    yield Flow(
                        table, 104, f"{_FAMILY[version]},{mine},{_TARGET[version]}={subnet.gateway}", "drop"
                    )
                yield Flow(
                    table,
                    60,
                    f"{_FAMILY[version]},{mine},{_TARGET[version]}={subnet.prefix}",
                    f"dec_ttl,set_field:{router.mac}->eth_src,set_field:{network.vni}->metadata,goto_table:{hop}",
                )
        for family in ("ip", "ipv6"):
            yield Flow(table, 50, f"{family},{mine}", AGENT)  # no route: the agent says so to the sender
    yield Flow(table, 0, "", f"goto_table:{switch}")
    for network, port, spoken in view.ports:
        if network.name not in view.topology.router_of:
            continue
        for version, address in spoken:
            match = f"{_FAMILY[version]},metadata={network.vni},{_TARGET[version]}={address}"
            yield Flow(hop, 100, match, f"set_field:{port.mac}->eth_dst,goto_table:{switch}")
    yield Flow(hop, 0, "", AGENT)


def _echo(mine: str, mac: str, gateway: Address) -> Flow:
    """A gateway's own answer to an echo request."""
    version: int = gateway.version
    source, target = (
        ("NXM_OF_IP_SRC[]", "NXM_OF_IP_DST[]") if version == 4 else ("NXM_NX_IPV6_SRC[]", "NXM_NX_IPV6_DST[]")
    )
    kind, asks, says = ("icmp", 8, 0) if version == 4 else ("icmp6", 128, 129)
    field, ours = ("icmp_type", "nw_src") if version == 4 else ("icmpv6_type", "ipv6_src")
    return Flow(
        NUMBER["route"],
        110,
        f"{kind},{mine},{_TARGET[version]}={gateway},icmp_type={asks}",
        f"{_SWAP_MACS},set_field:{mac}->eth_src,move:{source}->{target},set_field:{gateway}->{ours},"
        f"set_field:255->nw_ttl,set_field:{says}->{field},{_BACK}",
    )


def _switch(view: _View) -> Iterator[Flow]:
    table, land, whence = NUMBER["switch"], NUMBER["land"], NUMBER["whence"]
    tunnels = {
        node.name: f"set_field:{node.address}->{'tun_dst' if node.address.version == 4 else 'tun_ipv6_dst'}"
        for node in view.topology.nodes.values()
    }
    for network, port, _ in view.ports:
        macs = sorted({port.mac, *(pair.mac for pair in port.pairs)}) if port.pairs else (port.mac,)
        for mac in macs:
            match = f"metadata={network.vni},dl_dst={mac}"
            if port.node == view.node.name:
                here = f"set_field:{port.number}->reg7,goto_table:{whence}"
                yield Flow(table, 100, match, here)
                yield Flow(land, 100, match, here)
            elif network.provider is None:
                to = tunnels[port.node]
                yield Flow(table, 100, match, f"set_field:{network.vni}->tun_id,{to},output:{TUNNEL}")
    for network in view.networks:
        if network.provider is not None and network.provider.wire in view.node.wires:
            out = f"{_push(network.provider.vlan)}output:{view.node.wires[network.provider.wire]}"
            yield Flow(table, 10, f"metadata={network.vni}", out)
    yield Flow(table, 0, "", "drop")
    yield Flow(land, 0, "", "drop")


def _deliver(view: _View) -> Iterator[Flow]:
    table = NUMBER["deliver"]
    for port in view.local:
        # To where it came from as well: a subport may answer its own parent.
        yield Flow(
            table,
            100,
            f"reg7={port.number}",
            f"load:0->NXM_OF_IN_PORT[],{_push(port.vlan)}output:{port.ofport}",
        )
    for network in view.networks:
        if network.provider is not None and network.provider.wire in view.node.wires:
            yield Flow(table, 90, f"reg7=0,metadata={network.vni}", f"{_push(network.provider.vlan)}in_port")
    yield Flow(table, 0, "", "drop")
