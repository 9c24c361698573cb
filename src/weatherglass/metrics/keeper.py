"""The thread behind the store: seals heads, rolls up, merges blocks, drops what is past its age, one thing at a time.

What each of these does is in `sealing`, `rolling`, `compaction` and `deletion`; here is when, and what happens where
it fails: heads stay readable and in the log, and it is tried again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import Clock
from weatherglass.metrics import compaction, deleting, rolling
from weatherglass.metrics.blocks import CHUNK, Block
from weatherglass.metrics.histogram_blocks import HistogramBlock
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.reading import FIRST_MS
from weatherglass.metrics.retention import DEFAULT, Policy
from weatherglass.metrics.sealing import forget, seal, trim_log
from weatherglass.metrics.shelf import Shelf
from weatherglass.metrics.types import Matcher

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sealer:
    """When a head becomes a block: full chunks, or age, or the memory that all heads share."""

    samples_a_series: int = CHUNK
    age_s: float = 7200.0
    heads_bytes: int = 512 << 20
    every_s: float = 1.0
    retry_s: float = 10.0
    retire_every_s: float = 60.0


class Keeper:
    """Any thread may call any method; one at a time gets through. Raises OSError, Unavailable, Corrupt throughout."""

    def __init__(
        self,
        shelf: Shelf,
        partitions: Callable[[], Mapping[str, Partition]],
        policies: Callable[[str], Sequence[Policy]],
        now_ms: Callable[[], int],
        clock: Clock,
        sealer: Sealer,
    ) -> None:
        """`policies` end with the default; `now_ms` is where ages count from."""
        self._shelf, self._partitions, self._policies = shelf, partitions, policies
        self._now_ms, self._clock, self._sealer = now_ms, clock, sealer
        self._busy = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-sealer", daemon=True)
        self.counts = {"seals": 0, "seal_failures": 0, "forgotten_series": 0, "merges": 0, "rollup_runs": 0}
        self.last_failure = ""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def hold(self) -> threading.RLock:
        """Held, nothing on the shelf changes."""
        return self._busy

    # --- what it does ------------------------------------------------------------------------------------

    def seal(self, partitions: Sequence[Partition]) -> int:
        """Heads become blocks, roll-ups follow; how many were sealed."""
        with self._busy:
            reach = self._shelf.log.next
            sealed = [one for one in partitions if seal(self._shelf, one, self._policies(one.tenant))]
            self.counts["seals"] += len(sealed)
            if sealed:
                trim_log(self._shelf, list(self._partitions().values()), reach)
            for one in sealed:
                self.roll(one)
            return len(sealed)

    def roll(self, partition: Partition) -> None:
        """Roll-ups of what the shelf got since they were made."""
        policies = self._policies(partition.tenant)
        if any(policy.rollups for policy in policies):
            with self._busy:
                done = rolling.roll(self._shelf, partition, policies, self._now_ms())
                self.counts["rollup_runs"] += done

    def retire(self) -> int:
        """Drops what is past its age; how many blocks."""
        with self._busy:
            dropped = 0
            for partition in self._partitions().values():
                if gone := self._retire(partition):
                    dropped += gone
                    self.counts["forgotten_series"] += forget(self._shelf, partition)
            return dropped

    def _retire(self, partition: Partition) -> int:
        policies, now = self._policies(partition.tenant), self._now_ms()
        horizons = {policy.name: rolling.raw_horizon(partition, policy, now) for policy in policies}
        due = [
            block
            for block in partition.blocks
            if block.summary.last_ms < horizons.get(block.meta.policy, horizons[DEFAULT])
        ]
        floors = {}
        if due:
            rolling.roll(self._shelf, partition, policies, now, ahead=horizons)
            floors = {
                (policy.name, 0): horizons[policy.name]
                for policy in policies
                if policy.rollups and horizons[policy.name] > FIRST_MS
            }
        sequences = {block.sequence for block in due}
        due = [block for block in partition.blocks if block.sequence in sequences]
        rollups, rollup_floors = rolling.expired(partition, policies, now)
        default = horizons[DEFAULT]
        histograms = [one for one in partition.kept.histograms if one.summary.last_ms < default]
        drop: list[Block | HistogramBlock] = [*due, *rollups, *histograms]
        if drop:
            self._shelf.change(partition, drop=drop, floors={**floors, **rollup_floors})
        return len(drop)

    def compact(self, partition: Partition) -> int:
        """Merges small blocks of a stretch of time; how many there are less."""
        with self._busy:
            fewer = compaction.compact(self._shelf, partition, self._now_ms())
            self.counts["merges"] += bool(fewer)
            return fewer

    def delete(
        self, partition: Partition, matchers_list: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int
    ) -> int:
        """Deletes what is stored now; of how many series."""
        with self._busy:
            self.seal([partition])
            return deleting.delete(self._shelf, partition, matchers_list, start_ms, end_ms)

    def clean(self, partition: Partition) -> int:
        """Gives back the space of what is deleted; how many blocks were written anew."""
        with self._busy:
            self.roll(partition)
            cleaned = deleting.clean(self._shelf, partition, self._policies(partition.tenant), self._now_ms())
            self.counts["forgotten_series"] += forget(self._shelf, partition)
            return cleaned

    # --- by itself ---------------------------------------------------------------------------------------

    def _due(self) -> list[Partition]:
        now, policy = self._clock.monotonic(), self._sealer
        partitions = [one for one in self._partitions().values() if one.sealing or one.pending]
        crowded = sum(one.memory for one in partitions) > policy.heads_bytes
        biggest = max((one.memory for one in partitions), default=0)
        return [
            one
            for one in partitions
            if one.sealing
            or one.head.samples + one.histograms.samples
            >= policy.samples_a_series * (one.head.series + len(one.histograms))
            or now - one.head_since >= policy.age_s
            or (crowded and one.memory == biggest)
        ]

    def _run(self) -> None:
        wait = self._sealer.every_s
        retired = self._clock.monotonic()
        while not self._stop.wait(wait):
            wait = self._sealer.every_s
            try:
                self.seal(self._due())
                if self._clock.monotonic() - retired >= self._sealer.retire_every_s:
                    retired = self._clock.monotonic()
                    self.retire()
                    for partition in self._partitions().values():
                        self.compact(partition)
            except (OSError, WeatherglassError) as error:
                # The heads stay readable and in the log: nothing is lost while this is tried again.
                self.counts["seal_failures"] += 1
                self.last_failure = str(error)
                wait = self._sealer.retry_s
                logger.error("sealing failed, tried again in %s s: %s", wait, error)
