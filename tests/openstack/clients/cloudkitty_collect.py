"""Run by Debian's Python: CloudKitty's Prometheus collector; prints the data points it collects as JSON.

python cloudkitty_collect.py URL TOKEN METRIC SCOPE
"""

import json
import sys
from datetime import UTC, datetime, timedelta

from cloudkitty.collector import prometheus
from oslo_config import cfg

url, token, metric, scope = sys.argv[1:]
cfg.CONF([])
cfg.CONF.set_override("prometheus_url", url, "collector_prometheus")
cfg.CONF.set_override("prometheus_user", "weatherglass", "collector_prometheus")
cfg.CONF.set_override("prometheus_password", token, "collector_prometheus")
conf = {
    metric: {
        "unit": "GiB", "groupby": ["id"], "metadata": ["name"], "extra_args": {"aggregation_method": "max"},
    }
}  # fmt: skip
collector = prometheus.PrometheusCollector(conf={"metrics": conf}, period=3600)
cfg.CONF.set_override("scope_key", "project", "collect")
end = datetime.now(UTC)
points = collector.fetch_all(metric, end - timedelta(hours=1), end, scope)
print(json.dumps([[dict(one.groupby), dict(one.metadata), float(one.qty)] for one in points]))
