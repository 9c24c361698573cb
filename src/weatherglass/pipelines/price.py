"""What a run would cost: flavours and prices of a table, a fit for the time, and the choice. Pure.

A choice is a flavour and a number of instances. Each instance boots, gets its inputs, computes and is billed by whole
billing units; so cost is a staircase in n, and every whole n up to the flavour's limit is looked at: exhaustive, as
one array. Money is in the table's currency, times in seconds, energy in kWh, carbon in grams of CO2-equivalent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.pipelines.fit import Fit
from weatherglass.pipelines.laws import FloatArray

HOUR_S = 3600.0
_CHUNK = 512  # numbers of instances whose draws are held at once


@dataclass(frozen=True, slots=True)
class Flavour:
    """One kind of instance. `price` an hour; `speed` relative to what the runs were measured on; `memory` in bytes."""

    name: str
    price: float
    vcpus: float = 1.0
    memory: float = 0.0
    speed: float = 1.0
    most: int = 0
    watts: float = 0.0


@dataclass(frozen=True, slots=True)
class Prices:
    """A price table. `unit_s` is what is billed in, `minimum_s` the least; `on_site` the flavour of one's own machines.

    `stage_bytes` reach every instance at `stage_rate` bytes/s together (`shared`) or each; `transfer` is the price of
    a byte moved. `watts` are those of a flavour under load, times `pue`, times `carbon` (g/kWh).
    """

    flavours: Mapping[str, Flavour]
    currency: str = "EUR"
    unit_s: float = 1.0
    minimum_s: float = 0.0
    boot_s: float = 0.0
    stage_bytes: float = 0.0
    stage_rate: float = 0.0
    shared: bool = False
    transfer: float = 0.0
    pue: float = 1.0
    carbon: float = 0.0
    on_site: str = ""
    needs_memory: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to run it. `seconds` from the first boot to the last result; `likely` to be within the deadline."""

    flavour: str
    n: int
    seconds: float
    low: float
    high: float
    cost: float
    likely: float
    kwh: float
    carbon_g: float


@dataclass(frozen=True, slots=True)
class Offer:
    """What to choose, the curve of what is worth choosing, and what was left out and why."""

    chosen: Choice | None
    why: str
    pareto: tuple[Choice, ...]
    on_site: Choice | None
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Priced:
    """All whole n of one flavour as arrays (n,)."""

    flavour: Flavour
    n: FloatArray
    seconds: FloatArray
    low: FloatArray
    high: FloatArray
    cost: FloatArray
    likely: FloatArray
    kwh: FloatArray

    def choice(self, at: int, carbon: float) -> Choice:
        return Choice(
            self.flavour.name,
            int(self.n[at]),
            float(self.seconds[at]),
            float(self.low[at]),
            float(self.high[at]),
            float(self.cost[at]),
            float(self.likely[at]),
            float(self.kwh[at]),
            float(self.kwh[at] * carbon),
        )


def overhead(prices: Prices, n: FloatArray) -> FloatArray:
    """(len(n),) seconds before the work begins: booting, and the inputs on their way."""
    staging = prices.stage_bytes / prices.stage_rate if prices.stage_rate else 0.0
    return prices.boot_s + staging * (n if prices.shared else np.ones_like(n))


def billed(prices: Prices, seconds: FloatArray) -> FloatArray:
    """(…) seconds that one instance is billed for: whole units, no less than the minimum."""
    unit = max(prices.unit_s, 1e-9)
    # A run that ends on a unit's edge is not billed the next one for a rounding error.
    return np.asarray(np.maximum(np.ceil(seconds / unit - 1e-9) * unit, prices.minimum_s))


def _priced(prices: Prices, flavour: Flavour, fit: Fit, size: float, deadline_s: float, most: int) -> _Priced:
    n = np.arange(1, most + 1, dtype=np.float64)
    before = overhead(prices, n)
    expected = before + fit.seconds(n, size) / flavour.speed
    low, high, likely = np.empty_like(n), np.empty_like(n), np.empty_like(n)
    for first in range(0, len(n), _CHUNK):
        part = slice(first, first + _CHUNK)
        drawn = before[part] + fit.sampled(n[part], size, noisy=True) / flavour.speed
        low[part], high[part] = np.quantile(drawn, [0.05, 0.95], axis=0)
        likely[part] = (drawn <= deadline_s).mean(axis=0)
    cost = n * (flavour.price * billed(prices, expected) / HOUR_S + prices.transfer * prices.stage_bytes)
    kwh = n * flavour.watts * expected / HOUR_S / 1000.0 * prices.pue
    return _Priced(flavour, n, expected, low, high, cost, likely, kwh)


def offer(
    prices: Prices,
    fits: Mapping[str, Fit],
    *,
    deadline_s: float = math.inf,
    budget: float = math.inf,
    size: float = 1.0,
    confidence: float = 0.5,
    most: int = 0,
) -> Offer:
    """The cheapest choice within the deadline, or the fastest within the budget where one is given.

    `fits` by flavour, "" for those that were not run by themselves (their `speed` counts then). `confidence` is the
    chance with which the deadline must hold. Raises Invalid where nothing is asked or no flavour can be judged.
    """
    if math.isinf(deadline_s) and math.isinf(budget):
        raise Invalid("neither a deadline nor a budget", mend="--deadline SECONDS or --budget MONEY")
    if not prices.flavours:
        raise Invalid("the table has no flavours", where="flavours", mend="a name with its price an hour")
    priced, left_out = [], {}
    for name, flavour in prices.flavours.items():
        fit = fits.get(name) or fits.get("")
        if fit is None:
            left_out[name] = "no runs on it, and none that its speed could be applied to"
        elif 0 < flavour.memory < prices.needs_memory:
            left_out[name] = (
                f"{prices.needs_memory / 2**30:.3g} GiB do not fit into {flavour.memory / 2**30:.3g} GiB"
            )
        else:
            limit = flavour.most or most or int(max(fit.runs.n.max() * 4, 64))
            own = flavour if not fits.get(name) else _as_measured(flavour)
            priced.append(_priced(prices, own, fit, size, deadline_s, limit))
    site = next((one for one in priced if one.flavour.name == prices.on_site), None)
    rented = [one for one in priced if one is not site] or priced
    chosen, why = _choose(rented, deadline_s, budget, confidence, prices)
    return Offer(
        chosen,
        why,
        _pareto(rented, prices.carbon),
        _cheapest([site], deadline_s, confidence, prices) if site else None,
        left_out,
    )


def _as_measured(flavour: Flavour) -> Flavour:
    return Flavour(
        flavour.name, flavour.price, flavour.vcpus, flavour.memory, 1.0, flavour.most, flavour.watts
    )


def _choose(
    priced: Sequence[_Priced], deadline_s: float, budget: float, confidence: float, prices: Prices
) -> tuple[Choice | None, str]:
    if math.isinf(budget):
        found = _cheapest(priced, deadline_s, confidence, prices)
        if found is not None:
            return found, f"the cheapest within {deadline_s:g} s"
        fastest = min((float(one.seconds.min()) for one in priced), default=math.inf)
        return None, f"nothing is done within {deadline_s:g} s; the fastest takes {fastest:.0f} s"
    best: tuple[float, float, _Priced, int] | None = None
    for one in priced:
        fits_in = (one.cost <= budget) & _in_time(one, deadline_s, confidence)
        if fits_in.any():
            at = int(np.lexsort((one.cost, np.where(fits_in, one.seconds, np.inf)))[0])
            if best is None or (one.seconds[at], one.cost[at]) < best[:2]:
                best = (float(one.seconds[at]), float(one.cost[at]), one, at)
    if best is not None:
        return best[2].choice(best[3], prices.carbon), f"the fastest for {budget:g} {prices.currency}"
    least = min((float(one.cost.min()) for one in priced), default=math.inf)
    return None, f"nothing costs {budget:g} {prices.currency} or less; the cheapest is {least:.4g}"


def _in_time(one: _Priced, deadline_s: float, confidence: float) -> np.ndarray:
    if confidence <= 0.5:
        return one.seconds <= deadline_s
    return one.likely >= confidence


def _cheapest(
    priced: Sequence[_Priced], deadline_s: float, confidence: float, prices: Prices
) -> Choice | None:
    best: tuple[float, float, _Priced, int] | None = None
    for one in priced:
        fits_in = _in_time(one, deadline_s, confidence)
        if fits_in.any():
            at = int(np.lexsort((one.seconds, np.where(fits_in, one.cost, np.inf)))[0])
            if best is None or (one.cost[at], one.seconds[at]) < best[:2]:
                best = (float(one.cost[at]), float(one.seconds[at]), one, at)
    return best[2].choice(best[3], prices.carbon) if best else None


def _pareto(priced: Sequence[_Priced], carbon: float) -> tuple[Choice, ...]:
    """Choices that no other beats in both time and money, fastest first."""
    if not priced:
        return ()
    seconds = np.concatenate([one.seconds for one in priced])
    cost = np.concatenate([one.cost for one in priced])
    places = [(one, at) for one in priced for at in range(len(one.n))]
    order = np.lexsort((cost, seconds))
    least, kept = math.inf, []
    for number in order.tolist():
        if cost[number] < least:
            least = float(cost[number])
            one, at = places[number]
            kept.append(one.choice(at, carbon))
    return tuple(kept)
