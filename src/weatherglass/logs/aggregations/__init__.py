"""Counting over events: `Agg`s (see `aggs`) over frames and the rows that a filter chose.

A collector takes one frame after another and gives its result at the end; a bucket holds a collector for each agg
below it. `buckets` has those with buckets, `numbers` those without.
"""

from __future__ import annotations

from weatherglass.logs.aggregations.buckets import collector

__all__ = ["collector"]
