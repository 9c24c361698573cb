"""A small client of Weatherglass over HTTP: metrics asked, written, turned into frames; logs searched.

    from weatherglass.client import Client

    with Client("http://127.0.0.1:8700", token="wg_…") as cloud:
        cloud.query_range("rate(node_cpu_seconds_total[5m])", start="-6h", step="1m").to_pandas()

It stands on the base package alone; pandas and pyarrow are imported where a frame or a table is asked for.
"""

from weatherglass.client.client import Client
from weatherglass.client.results import Events, Result, Series

__all__ = ["Client", "Events", "Result", "Series"]
