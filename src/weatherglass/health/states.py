"""The machine of states: what a verdict makes of a state. Only the table lives here; verdicts come from `judge.py`.

A verdict is what the evidence says now; a state is what we say. The difference is memory: an entity that was not
healthy is so again only when it is WELL (3 good probes in a row), and doubt alone changes nothing.
"""

from __future__ import annotations

from enum import Enum

from weatherglass.inventory import State


class Verdict(Enum):
    """What the evidence says at one moment, weakest first."""

    UNSEEN = "nothing fresh is known"
    WELL = "good for long enough"
    FAIR = "good, but not yet for long enough"
    DOUBT = "something is off, not yet enough to say so"
    BAD = "alive and not doing its job"
    FAILING = "will die before it can be rescued"
    GONE = "dead by two witnesses"


_V = Verdict
TABLE: dict[State, dict[Verdict, State]] = {
    State.UNKNOWN: {
        _V.UNSEEN: State.UNKNOWN,
        _V.WELL: State.HEALTHY,
        _V.FAIR: State.UNKNOWN,
        _V.DOUBT: State.UNKNOWN,
        _V.BAD: State.SICK,
        _V.FAILING: State.DYING,
        _V.GONE: State.DEAD,
    },
    State.HEALTHY: {
        _V.UNSEEN: State.UNKNOWN,
        _V.WELL: State.HEALTHY,
        _V.FAIR: State.HEALTHY,
        _V.DOUBT: State.HEALTHY,
        _V.BAD: State.SICK,
        _V.FAILING: State.DYING,
        _V.GONE: State.DEAD,
    },
    State.SICK: {
        _V.UNSEEN: State.UNKNOWN,
        _V.WELL: State.HEALTHY,
        _V.FAIR: State.SICK,
        _V.DOUBT: State.SICK,
        _V.BAD: State.SICK,
        _V.FAILING: State.DYING,
        _V.GONE: State.DEAD,
    },
    State.DYING: {
        _V.UNSEEN: State.UNKNOWN,
        _V.WELL: State.HEALTHY,
        _V.FAIR: State.DYING,
        _V.DOUBT: State.DYING,
        _V.BAD: State.DYING,
        _V.FAILING: State.DYING,
        _V.GONE: State.DEAD,
    },
    State.DEAD: {
        _V.UNSEEN: State.UNKNOWN,
        _V.WELL: State.HEALTHY,
        _V.FAIR: State.SICK,
        _V.DOUBT: State.SICK,
        _V.BAD: State.SICK,
        _V.FAILING: State.DYING,
        _V.GONE: State.DEAD,
    },
}


def turn(state: State, verdict: Verdict) -> State:
    """The state after a verdict."""
    return TABLE[state][verdict]
