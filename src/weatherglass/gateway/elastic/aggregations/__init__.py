"""Elasticsearch's aggregations ↔ `logs.aggs`: JSON in, counted in the store, JSON out. Pure.

`KINDS` is the table of what is spoken; `metrics`, `values`, `spans`, `ranges`, `combined` read and tell its rows.
"""

from weatherglass.gateway.elastic.aggregations.reading import Counted, Reading, read, told

__all__ = ["Counted", "Reading", "read", "told"]
