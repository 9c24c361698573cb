"""Take everything down on this host: server, agent and the services they started. Data stays.

Example: weatherglass down --state /var/lib/weatherglass

Ctrl-C on `up` stops the house alone and leaves services running; this stops them too. Needs no server.
"""

from __future__ import annotations

from weatherglass.cli import show
from weatherglass.cli.client import default_state

PANEL = "Run"


def run(state: show.State = None) -> int:
    from weatherglass.house.down import down

    return down(state or default_state())
