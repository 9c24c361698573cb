"""FAKE: neutron's agents, as far as neutron-server sees them. A program for Debian's Python, no test here.

It reports the state of an Open vSwitch, an L3, a DHCP and a metadata agent by RPC, with neutron's own client, as the
true ones do; so that ports of servers get bound and agents can be watched. They touch no switch. An agent named in the
file `state/silent` (lines of `binary host`) is not reported, as if it had died.
"""

import sys
import time
from pathlib import Path

from neutron.agent import rpc
from neutron.common import config
from neutron.conf.agent import common as agent_options
from neutron_lib import context
from neutron_lib.agent import topics
from oslo_config import cfg
from oslo_messaging import MessagingTimeout

SWITCH = {"bridge_mappings": {"physnet1": "br-ex"}, "tunnel_types": ["vxlan"], "tunneling_ip": "127.0.0.1", "devices": 0,
          "l2_population": False, "ovs_hybrid_plug": False, "datapath_type": "system"}  # fmt: skip
AGENTS = [
    ("neutron-openvswitch-agent", "fake1", "Open vSwitch agent", SWITCH),
    ("neutron-openvswitch-agent", "fake2", "Open vSwitch agent", SWITCH),
    ("neutron-openvswitch-agent", "net1", "Open vSwitch agent", SWITCH),
    ("neutron-l3-agent", "net1", "L3 agent", {"agent_mode": "legacy", "handle_internal_only_routers": True,
                                             "interface_driver": "openvswitch", "routers": 0}),
    ("neutron-dhcp-agent", "net1", "DHCP agent", {"dhcp_driver": "fake", "networks": 0}),
    ("neutron-metadata-agent", "net1", "Metadata agent", {"nova_metadata_host": "127.0.0.1"}),
]  # fmt: skip
TOPICS = {"Open vSwitch agent": "N/A", "L3 agent": topics.L3_AGENT, "DHCP agent": topics.DHCP_AGENT}


def main() -> None:
    conf = Path(sys.argv[1])
    silent = conf.parent.parent / "state" / "silent"
    config.register_common_config_options()
    agent_options.register_agent_state_opts_helper(cfg.CONF)
    config.init(["--config-file", str(conf), "--log-file", str(conf.parent.parent / "log" / "agents.log")])
    config.setup_logging()
    reports = rpc.PluginReportStateAPI(topics.REPORTS)
    admin = context.get_admin_context_without_session()
    fresh: set[tuple[str, str]] = set()
    while True:
        quiet = (
            {tuple(line.split()) for line in silent.read_text().splitlines()} if silent.exists() else set()
        )
        for binary, host, kind, configurations in AGENTS:
            if (binary, host) in quiet:
                fresh.discard((binary, host))
                continue
            state = {"binary": binary, "host": host, "agent_type": kind, "topic": TOPICS.get(kind, "N/A"),
                     "configurations": configurations, "availability_zone": "nova" if host == "net1" else None}  # fmt: skip
            if (binary, host) not in fresh:
                state["start_flag"] = True
                fresh.add((binary, host))
            try:
                reports.report_state(admin, state, True)
            except (
                MessagingTimeout
            ):  # the server is not up yet, or stopped by a test: the true ones go on as well
                fresh.discard((binary, host))
        time.sleep(cfg.CONF.AGENT.report_interval)


if __name__ == "__main__":
    main()
