"""Policies: which series are kept for how long, and what is kept of them afterwards. Pure.

A policy takes the series that its matchers find and that no policy before it takes. Its roll-ups are what stays of
samples; `retention` gives raw samples their age. Not here: dropping (`keeping`), computing roll-ups (`rolling`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.metrics import granularity
from weatherglass.metrics.partition import Partition
from weatherglass.metrics.reading import FIRST_MS
from weatherglass.metrics.types import BoolArray, Int64Array, Matcher

DEFAULT = ""
"""The name of the policy of those that no other takes."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """One granularity of a policy: what is kept of each group of samples, and for how long (None: without end)."""

    granularity_ms: int
    methods: tuple[str, ...]
    keep_ms: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What is stored for the methods: a mean is kept as its sum and count, so that it can be rolled up again."""
        wanted = dict.fromkeys(part for method in self.methods for part in parts(method))
        return tuple(wanted)


@dataclass(frozen=True, slots=True)
class Policy:
    """`keep_ms` is for raw samples (None: without end)."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    keep_ms: int | None = None
    rollups: tuple[Rollup, ...] = ()

    def __post_init__(self) -> None:
        seen = set()
        for rollup in self.rollups:
            granularity.check(rollup.methods)
            where = f"policy {self.name}"
            if any(method.startswith(granularity.RATE) for method in rollup.methods):
                raise Invalid(
                    "a rate is not stored", where=where, mend="keep sum, last or mean of the series"
                )
            if rollup.granularity_ms <= 0 or rollup.granularity_ms in seen or not rollup.methods:
                raise Invalid("each granularity stands once, with methods", where=where)
            seen.add(rollup.granularity_ms)
        if self.rollups and self.keep_ms is not None and self.keep_ms < self.step_ms:
            raise Invalid(
                f"raw samples are kept for less than {self.step_ms} ms, where all granularities meet",
                where=f"policy {self.name}",
                mend="keep them longer, or choose granularities that divide each other",
            )

    @property
    def step_ms(self) -> int:
        """Where groups of every granularity begin: what is dropped is dropped there, so that none is cut."""
        return lcm(*(rollup.granularity_ms for rollup in self.rollups)) if self.rollups else 1

    @property
    def selector(self) -> str:
        return "{" + ",".join(f"{one.name}{one.op}{one.value!r}" for one in self.matchers) + "}"

    def horizon_ms(self, now_ms: int) -> int:
        """Samples before this are past their age."""
        return FIRST_MS if self.keep_ms is None else now_ms - self.keep_ms


def parts(method: str) -> tuple[str, ...]:
    """The columns that a method is worked out from."""
    return ("sum", "count") if method == "mean" else (method,)


def spec(policies: Sequence[Policy], policy: Policy, rollup: Rollup) -> str:
    """What a stored roll-up is made of, to tell later whether it still is what is declared: which series (those that
    no policy before takes), and the columns."""
    before = policies[: policies.index(policy) + 1]
    return f"{' '.join(one.selector for one in before)} {' '.join(rollup.columns)}"


def with_default(policies: Sequence[Policy], keep_ms: int | None) -> tuple[Policy, ...]:
    """The policies, and last the one of all other series: with `keep_ms`, unless one of that name is among them.
    Raises Invalid where two have one name."""
    names = [policy.name for policy in policies]
    if len(set(names)) != len(names) or DEFAULT in names[:-1]:
        raise Invalid("policies have names of their own", mend="give each another name")
    return tuple(policies) if DEFAULT in names else (*policies, Policy(DEFAULT, (), keep_ms))


def classes(
    partition: Partition, numbers: Int64Array, policies: Sequence[Policy]
) -> Iterator[tuple[Policy, Int64Array]]:
    """(policy, those of `numbers` that it takes), without empty ones. `policies` end with the default. Raises Invalid
    for a bad regex."""
    left = numbers
    for policy in policies:
        if not len(left):
            return
        if not policy.matchers:
            mine, left = left, left[:0]
        else:
            with partition.lock:
                found = partition.index.select(policy.matchers)
            taken = np.isin(left, found)
            mine, left = left[taken], left[~taken]
        if len(mine):
            yield policy, mine


def longest(policies: Sequence[Policy], now_ms: int) -> int:
    """Samples before this are past their age, whatever their series."""
    return min(policy.horizon_ms(now_ms) for policy in policies)


def shortest(policies: Sequence[Policy], now_ms: int) -> int:
    """Samples from here on are not past their age, whatever their series."""
    return max(policy.horizon_ms(now_ms) for policy in policies)


def young(
    partition: Partition,
    policies: Sequence[Policy],
    numbers: Int64Array,
    counts: Int64Array,
    times: Int64Array,
    now_ms: int,
) -> BoolArray:
    """(n_samples,) which are not past the age of their own series; series not known yet count as the default's."""
    horizons = np.full(len(numbers), policies[-1].horizon_ms(now_ms))
    for policy, mine in classes(partition, np.unique(numbers), policies):
        horizons[np.isin(numbers, mine)] = policy.horizon_ms(now_ms)
    return np.asarray(times >= np.repeat(horizons, counts))
