"""Dashboards as files: take them over from Grafana, check them.

Example: weatherglass dashboards import ceph-cluster.json --to dashboards
"""

from __future__ import annotations

from weatherglass.cli import dashboards
from weatherglass.cli.nouns import noun

PANEL = "Look"

app = noun(dashboards, __doc__)
