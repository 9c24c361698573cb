"""Running one drill: wait until all is well, inject, follow until it is well again, take back. The thin edge."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from weatherglass.base.errors import Conflict, Unavailable, WeatherglassError
from weatherglass.drill.drill import Drill, Injected
from weatherglass.drill.house import House, seconds
from weatherglass.drill.target import Target, choose
from weatherglass.drill.verdict import Check, judge
from weatherglass.drill.watch import Look, Looker, Observed, unwell

LOOK_EVERY_S = 0.25
KEEP_EVERY_S = 2.0
READY_S = 60.0
"""How long a drill waits for all to be well before it refuses."""
AFTER_S = 60.0
"""How much longer than the bound for healing it is followed: the report then says by how much it was missed."""
CALM_S = 2.0
"""How long it must stay calm to be over: a second incident would show by then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A drill that was run."""

    drill: Drill
    target: Target
    injected: Injected
    observed: Observed
    checks: tuple[Check, ...]
    url: str

    @property
    def passed(self) -> bool:
        return all(one.ok for one in self.checks)


def run(
    drill: Drill, house: House, service: str = "", say: Callable[[str], None] = lambda text: None
) -> Outcome:
    """Run a drill to its end. Raises Conflict where the house is not well before, NotFound, Invalid, Unavailable.

    What was injected is taken back however it ends, an interrupt included.
    """
    looker = Looker(house)
    house.synchronise()
    target = choose(house.get("graph"), service)
    if drill.needs_volume:
        _ = target.volume  # refused before anything is touched
    first = _ready(looker, target, say)
    observed = Observed(house.now_ns(), frozenset(int(one["id"]) for one in first.incidents))
    try:
        injected = drill.inject(house, target)
        say(injected.text)
        _follow(drill, house, looker, target, observed, say)
    finally:
        drill.heal(house, target)
    return Outcome(drill, target, injected, observed, judge(drill.expect, target, observed), house.url)


def _ready(looker: Looker, target: Target, say: Callable[[str], None]) -> Look:
    until, told = time.monotonic() + READY_S, False
    while True:
        look = looker.look()
        wrong = unwell(look, target)
        if not wrong:
            return look
        if time.monotonic() >= until:
            raise Conflict(
                f"a drill begins when all is well, and {'; '.join(wrong[:4])}",
                mend="mend it first (weatherglass incidents), then run the drill again",
            )
        if not told:
            say(f"waiting up to {READY_S:.0f} s until all is well: {'; '.join(wrong[:4])}")
            told = True
        time.sleep(LOOK_EVERY_S)


def _follow(
    drill: Drill, house: House, looker: Looker, target: Target, observed: Observed, say: Callable[[str], None]
) -> None:
    about = frozenset({drill.expect.cause(target), target.replica, target.service})
    began = kept = time.monotonic()
    calm_since, count, sentence = 0.0, 0, ""
    while time.monotonic() - began < drill.expect.healed_s + AFTER_S:
        time.sleep(LOOK_EVERY_S)
        try:
            observed.add(looker.look(probes=count % 2 == 0), about)
        except Unavailable:
            observed.silent += 1
            continue
        count += 1
        incident, now = observed.incident, time.monotonic()
        if incident is not None and incident["sentence"] != sentence:
            sentence = str(incident["sentence"])
            say(f"{seconds(observed.asked_ns, house.now_ns()):6.1f} s  {sentence}")
        if drill.keep is not None and incident is None and now - kept >= KEEP_EVERY_S:
            kept = now
            try:
                drill.keep(house, target)
            except WeatherglassError as error:
                say(f"the fault could not be kept up: {error.message}")
        if not observed.calm:
            calm_since = 0.0
        elif not calm_since:
            calm_since = now
        elif now - calm_since >= CALM_S:
            return
