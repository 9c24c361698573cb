"""The metrics store by itself: serve it, look after it.

Example: weatherglass metrics serve --state /tmp/metrics --port 9090 --no-auth
"""

from __future__ import annotations

from weatherglass.cli import metrics
from weatherglass.cli.nouns import noun

PANEL = "Look after"

app = noun(metrics, __doc__)
