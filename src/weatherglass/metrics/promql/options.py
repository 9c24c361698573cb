"""What a house or a query may set of the language and its bounds. Values alone."""

from __future__ import annotations

from dataclasses import dataclass

MAX_STEPS = 11_000
MAX_SUBQUERY_STEPS = 2_000_000
MAX_CELLS = 50_000_000
MAX_LOOKED_AT = 5_000_000_000
"""Samples of all windows of one range function, overlaps counted: some ten seconds' work."""


@dataclass(frozen=True, slots=True)
class Options:
    """How queries are read and answered.

    `experimental` lets through what Prometheus 3 has behind feature flags: functions, aggregators, arithmetic of
    durations, `anchored` and `smoothed`, `fill`, trimming of histograms. `delayed_names` drops metric names at the
    end of a query instead of where a function does. `trace` keeps what every node took (see `trace.py`).
    """

    experimental: bool = False
    delayed_names: bool = False
    lookback_ms: int = 300_000
    subquery_step_ms: int = 60_000
    timeout_s: float = 0.0  # 0: none
    max_cells: int = MAX_CELLS
    max_looked_at: int = MAX_LOOKED_AT
    trace: bool = False


STABLE = Options()
"""What Prometheus 3 does without any flag."""

EXPERIMENTAL = Options(experimental=True)
"""All of the language, nothing else changed."""
