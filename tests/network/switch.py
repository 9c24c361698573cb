"""A real ovs-vswitchd with dummy ports, in its own folder, to ask what it does with a packet. No test here."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from peers import program
from weatherglass.network.tables import TUNNEL
from weatherglass.network.topology import Topology

_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_RULE = re.compile(r"^\s*(\d+)\. (?:.*priority (\d+)|No match)", re.MULTILINE)
_PACKAGE = "openvswitch-switch"
_WORDS = {
    "eth_src": "dl_src", "eth_dst": "dl_dst", "arp_op": "arp_op", "arp_spa": "arp_spa", "arp_tpa": "arp_tpa",
    "arp_sha": "arp_sha", "arp_tha": "arp_tha", "nd_target": "nd_target", "nd_sll": "nd_sll", "nd_tll": "nd_tll", "ttl": "nw_ttl",
}  # fmt: skip
_KIND = {
    (0x0800, 1): "icmp", (0x0800, 6): "tcp", (0x0800, 17): "udp", (0x0800, 132): "sctp", (0x86DD, 58): "icmp6",
    (0x86DD, 6): "tcp6", (0x86DD, 17): "udp6", (0x86DD, 132): "sctp6",
}  # fmt: skip


class Switch:
    """One bridge `br` on the dummy datapath. Unprivileged; nothing of the machine's network is touched."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.pids = folder, [folder / "ovsdb-server.pid", folder / "ovs-vswitchd.pid"]
        self.environment = {
            **os.environ,
            "OVS_RUNDIR": str(folder),
            "OVS_LOGDIR": str(folder),
            "OVS_DBDIR": str(folder),
        }
        self._run("ovsdb-tool", "create", folder / "conf.db", _SCHEMA)
        self._run(
            "ovsdb-server", folder / "conf.db", f"--remote=punix:{folder}/db.sock", f"--pidfile={self.pids[0]}",
            "--detach", f"--log-file={folder}/ovsdb.log", f"--unixctl={folder}/ovsdb.ctl",
        )  # fmt: skip
        self.vsctl("--no-wait", "init")
        self._run(
            "ovs-vswitchd", f"unix:{folder}/db.sock", f"--pidfile={self.pids[1]}", "--detach", "--disable-system",
            "--enable-dummy=override", f"--log-file={folder}/vswitchd.log", f"--unixctl={folder}/vswitchd.ctl",
        )  # fmt: skip
        protocols = "protocols=OpenFlow10,OpenFlow15"
        self.vsctl(
            "add-br", "br", "--", "set", "bridge", "br", "datapath_type=dummy", "fail_mode=secure", protocols
        )

    def _run(self, name: str, *words: object, text: str | None = None) -> str:
        done = subprocess.run(
            [program(name, _PACKAGE), *map(str, words)],
            env=self.environment, capture_output=True, text=True, input=text, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (name, words[:6], done.stderr[-1500:])
        return done.stdout

    def vsctl(self, *words: str) -> str:
        return self._run("ovs-vsctl", f"--db=unix:{self.folder}/db.sock", *words)

    def become(self, topology: Topology, node: str, flows: Iterable[object]) -> None:
        """The ports of a node and its flows, in place of whatever was there."""
        wanted = sorted(
            {port.ofport for port in topology.by_node.get(node, ())}
            | set(topology.nodes[node].wires.values())
        )
        words: list[str] = []
        for name in self.vsctl("list-ports", "br").split():
            words += ["--", "del-port", "br", name]
        for number in wanted:
            words += ["--", "add-port", "br", f"d{number}", "--", "set", "interface", f"d{number}", "type=dummy",
                      f"ofport_request={number}"]  # fmt: skip
        words += ["--", "add-port", "br", "vx", "--", "set", "interface", "vx", "type=vxlan", "options:remote_ip=flow",
                  "options:key=flow", f"ofport_request={TUNNEL}"]  # fmt: skip
        self.vsctl(*words[1:])
        text = "".join(f"{flow}\n" for flow in flows)
        self._run(
            "ovs-ofctl",
            "-O",
            "OpenFlow15",
            "--bundle",
            "replace-flows",
            f"unix:{self.folder}/br.mgmt",
            "-",
            text=text,
        )

    def rules(self, in_port: int, vlan: int, packet: Mapping[str, Any]) -> list[tuple[int, int]]:
        """(table, priority) of every rule that a packet meets, new to connection tracking; (table, -1) for none."""
        words = [f"in_port={in_port}", *_spoken(packet)]
        if vlan:
            words.append(f"dl_vlan={vlan}")
        told = self._run(
            "ovs-appctl", "-t", f"{self.folder}/vswitchd.ctl", "ofproto/trace", "br", ",".join(words)
        )
        return [(int(table), int(priority) if priority else -1) for table, priority in _RULE.findall(told)]

    def close(self) -> None:
        for pid in reversed(self.pids):
            if pid.exists():
                number = int(pid.read_text())
                os.kill(number, 15)
                until = time.monotonic() + 5
                while time.monotonic() < until and Path(f"/proc/{number}").exists():
                    time.sleep(0.02)


def _spoken(packet: Mapping[str, Any]) -> list[str]:
    words = []
    if packet["eth_type"] == 0x0806:
        words.append("arp")
    elif (packet["eth_type"], packet["proto"]) in _KIND:
        words.append(_KIND[packet["eth_type"], packet["proto"]])
    else:
        words += ["ip" if packet["eth_type"] == 0x0800 else "ipv6", f"nw_proto={packet['proto']}"]
    six = packet["eth_type"] == 0x86DD
    for name, value in packet.items():
        if name in ("ip_src", "ip_dst"):
            words.append(f"{'ipv6' if six else 'nw'}_{name[3:]}={value}")
        elif name == "tcp_flags":
            words.append(f"tcp_flags={'|'.join(sorted(value))}")
        elif name in ("tp_src", "tp_dst"):
            transport = {6: "tcp", 17: "udp", 132: "sctp"}[packet["proto"]]
            words.append(f"{transport}{name[2:]}={value}")
        elif name in ("icmp_type", "icmp_code"):
            words.append(f"icmp{'v6' if six else ''}{name[4:]}={value}")
        elif name in _WORDS:
            words.append(f"{_WORDS[name]}={value}")
    return words
