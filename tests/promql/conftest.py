"""The real metrics store, as tests/metrics sets it up."""

from metrics.conftest import blank_tables, place, store

__all__ = ["blank_tables", "place", "store"]
