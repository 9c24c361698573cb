"""Networks: a topology's flows for a node, and where a packet dies. Needs no server and no switch.

Example: weatherglass net trace topology.yaml --from web-1 --packet tcp,dst=10.2.0.14,dport=80
"""

from __future__ import annotations

from weatherglass.cli import net
from weatherglass.cli.nouns import noun

PANEL = "Networks"

app = noun(net, __doc__)
