"""What a tenant has on the shelf beside its blocks of raw samples, as one value that is replaced, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from weatherglass.metrics.blocks import Block
from weatherglass.metrics.deletion import Deletion
from weatherglass.metrics.histogram_blocks import HistogramBlock


@dataclass(frozen=True, slots=True)
class Rolled:
    """How far one policy's roll-up of one granularity is."""

    spec: str  # what was declared when it was made
    stored: bool  # or derived from raw samples at every reading, which are kept as long
    until_ms: int  # groups that begin before are in roll-up blocks, as far as blocks marked `rolled` know


@dataclass(frozen=True, slots=True)
class Kept:
    """`states` and `floors` by (policy, granularity in ms); a floor of granularity 0 is that of raw samples: what is
    older may have been dropped."""

    rollups: tuple[Block, ...] = ()
    histograms: tuple[HistogramBlock, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    states: Mapping[tuple[str, int], Rolled] = field(default_factory=dict)
    floors: Mapping[tuple[str, int], int] = field(default_factory=dict)

    @property
    def every(self) -> tuple[Block | HistogramBlock, ...]:
        """All files beside raw blocks that hold samples of some kind."""
        return (*self.rollups, *self.histograms)
