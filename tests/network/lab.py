"""Two nodes and the containers on them as network namespaces, each node with an Open vSwitch of its own. No test here.

The userspace datapath (`netdev`): this machine's kernel may have none. Everything is named after this process and
taken away by name; nothing else of the machine's network is touched. Packets stay in the namespaces.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from peers import program
from weatherglass.network.pipeline import compile
from weatherglass.network.tables import TUNNEL
from weatherglass.network.topology import Port, Topology

_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_PACKAGE = "openvswitch-switch"


def run(
    *words: object, text: str | None = None, check: bool = True, timeout: float = 30
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        input=text,
        timeout=timeout,
        check=False,
    )
    assert not check or done.returncode == 0, (words, done.stderr[-1500:])
    return done


class Lab:
    """A topology of two nodes, alive. Nodes' addresses must lie in 192.0.2.0/24."""

    def __init__(self, folder: Path, topology: Topology) -> None:
        self.folder, self.topology = folder, topology
        self.tag = f"wg{os.getpid() % 100000}"
        self.spaces: list[str] = []
        self.pids: list[Path] = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def space(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def _build(self) -> None:
        for node in self.topology.nodes:
            self._node(node)
        one, two = self.topology.nodes
        run("ip", "link", "add", f"{self.tag}u0", "type", "veth", "peer", "name", f"{self.tag}u1")
        for number, node in enumerate((one, two)):
            run("ip", "link", "set", f"{self.tag}u{number}", "netns", self.space(node))
            self._wire(node, f"{self.tag}u{number}")
        for port in self.topology.ports.values():
            self._port(port)
        for node in self.topology.nodes:
            self.program(node)

    def _add(self, name: str) -> str:
        space = self.space(name)
        run("ip", "netns", "add", space)
        self.spaces.append(space)
        run("ip", "-n", space, "link", "set", "lo", "up")
        return space

    def _in(self, node: str, *words: object, text: str | None = None) -> str:
        home = self.folder / node
        environment = [f"OVS_RUNDIR={home}", f"OVS_LOGDIR={home}", f"OVS_DBDIR={home}"]
        return run("ip", "netns", "exec", self.space(node), "env", *environment, *words, text=text).stdout

    def vsctl(self, node: str, *words: str) -> None:
        self._in(node, program("ovs-vsctl", _PACKAGE), f"--db=unix:{self.folder / node}/db.sock", *words)

    def _node(self, node: str) -> None:
        self._add(node)
        home = self.folder / node
        home.mkdir(parents=True)
        pids = [home / "ovsdb-server.pid", home / "ovs-vswitchd.pid"]
        self.pids += pids
        run(program("ovsdb-tool", _PACKAGE), "create", home / "conf.db", _SCHEMA)
        self._in(
            node, program("ovsdb-server", _PACKAGE), home / "conf.db", f"--remote=punix:{home}/db.sock",
            f"--pidfile={pids[0]}", "--detach", f"--log-file={home}/ovsdb.log", f"--unixctl={home}/ovsdb.ctl",
        )  # fmt: skip
        self.vsctl(node, "--no-wait", "init")
        self._in(
            node, program("ovs-vswitchd", _PACKAGE), f"unix:{home}/db.sock", f"--pidfile={pids[1]}", "--detach",
            "--disable-system", f"--log-file={home}/vswitchd.log", f"--unixctl={home}/vswitchd.ctl",
        )  # fmt: skip

    def _wire(self, node: str, link: str) -> None:
        address = self.topology.nodes[node].address
        self.vsctl(node, "add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev",
                   "--", "add-port", "br-phy", link)  # fmt: skip
        run("ip", "-n", self.space(node), "link", "set", link, "up")
        run("ip", "-n", self.space(node), "link", "set", "br-phy", "up")
        run("ip", "-n", self.space(node), "addr", "add", f"{address}/24", "dev", "br-phy")
        self.vsctl(node, "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev",
                   "fail_mode=secure", "protocols=OpenFlow10,OpenFlow15", "--", "add-port", "br-int", "vx", "--",
                   "set", "interface", "vx", "type=vxlan", "options:remote_ip=flow", "options:key=flow",
                   f"options:local_ip={address}", f"ofport_request={TUNNEL}")  # fmt: skip

    def _port(self, port: Port) -> None:
        space, link = self._add(port.name), f"{self.tag}{port.number}{port.node}"[:15]
        run(
            "ip",
            "link",
            "add",
            link,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            space,
            "address",
            port.mac,
            "mtu",
            1450,
        )
        run("ip", "link", "set", link, "netns", self.space(port.node))
        # The node's own kernel must not answer a container: only the switch hears what it sends.
        run(
            "ip",
            "netns",
            "exec",
            self.space(port.node),
            "sysctl",
            "-qw",
            f"net.ipv6.conf.{link}.disable_ipv6=1",
        )
        run("ip", "-n", self.space(port.node), "link", "set", link, "mtu", 1450, "up")
        # Checksums that the sender left to its card are never filled in on the way through user space.
        run("ip", "netns", "exec", space, program("ethtool"), "-K", "eth0", "tx", "off")
        run(
            "ip",
            "netns",
            "exec",
            space,
            "sysctl",
            "-qw",
            "net.ipv6.conf.eth0.accept_dad=0",
            "net.ipv6.conf.eth0.accept_ra=0",
        )
        run("ip", "-n", space, "link", "set", "eth0", "up")
        self.vsctl(
            port.node,
            "add-port",
            "br-int",
            link,
            "--",
            "set",
            "interface",
            link,
            f"ofport_request={port.ofport}",
        )
        network = self.topology.networks[port.network]
        for address in port.addresses:
            subnet = next(one for one in network.subnets if address in one.prefix)
            run("ip", "-n", space, "addr", "add", f"{address}/{subnet.prefix.prefixlen}", "dev", "eth0")
            if subnet.gateway is not None and port.network in self.topology.router_of:
                run(
                    "ip", "-n", space, f"-{address.version}", "route", "add", "default", "via", subnet.gateway
                )

    def program(self, node: str) -> None:
        """A node's flows, as one bundle."""
        text = "".join(f"{flow}\n" for flow in compile(self.topology, node))
        self._in(
            node, program("ovs-ofctl", _PACKAGE), "-O", "OpenFlow15", "--bundle", "replace-flows",
            f"unix:{self.folder / node}/br-int.mgmt", "-", text=text,
        )  # fmt: skip

    def ping(self, sender: str, address: str, wait: float = 1.0) -> bool:
        words = ("ping", "-c", "1", "-W", wait, address)
        return run("ip", "netns", "exec", self.space(sender), *words, check=False).returncode == 0

    def connects(self, sender: str, target: str, address: str, port: int) -> bool:
        """Whether a TCP connection reaches a listener in the target's namespace, and a line comes back."""
        serve = (
            "import socket,sys; s=socket.create_server((sys.argv[1],int(sys.argv[2])),"
            "family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET); print('on',flush=True); s.settimeout(4)\n"
            "try:\n c,_=s.accept(); c.sendall(c.recv(9)); c.close()\nexcept OSError: pass"
        )
        ask = (
            "import socket,sys; s=socket.create_connection((sys.argv[1],int(sys.argv[2])),1.0); s.settimeout(1.0);"
            "s.sendall(b'hello'); sys.exit(s.recv(9)!=b'hello')"
        )
        listener = subprocess.Popen(
            ["ip", "netns", "exec", self.space(target), "python3", "-c", serve, address, str(port)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert listener.stdout is not None and listener.stdout.readline() == "on\n"
            done = run(
                "ip", "netns", "exec", self.space(sender), "python3", "-c", ask, address, port, check=False
            )
            return done.returncode == 0
        finally:
            listener.kill()
            listener.wait()

    def close(self) -> None:
        """Everything of this lab's own, gone."""
        for file in reversed(self.pids):
            if file.exists():
                pid = int(file.read_text())
                os.kill(pid, 15)
                until = time.monotonic() + 5
                while time.monotonic() < until and Path(f"/proc/{pid}").exists():
                    time.sleep(0.02)
        for space in reversed(self.spaces):
            run("ip", "netns", "del", space, check=False)
        run("ip", "link", "del", f"{self.tag}u0", check=False)
