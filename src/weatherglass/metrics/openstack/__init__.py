"""OpenStack itself as a source: a running cloud read over its APIs, as samples and as entities. Nothing is changed there.

`clouds` reads clouds.yaml, `client` asks, `questions` says what is asked, `asking` asks all of it; `samples` and
`entities` turn answers into openstack-exporter's metrics and into the graph, both pure; `room` keeps both fresh.
"""

from weatherglass.metrics.openstack.clouds import Cloud, read_clouds
from weatherglass.metrics.openstack.room import OpenStack

__all__ = ["Cloud", "OpenStack", "read_clouds"]
