"""What runs on every node: collectors, tailing, probes, heartbeats, the spool, and the hands of other rooms.

Light: the standard library, zstandard and cramjam (a test reads `sys.modules`). Public: `main` runs an agent,
`probe` makes one probe, which the server uses as its own vantage point.
"""

from __future__ import annotations

from weatherglass.agent.command import main
from weatherglass.agent.probes import probe
from weatherglass.agent.work import Executor

__all__ = ["Executor", "main", "probe"]
