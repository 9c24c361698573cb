"""The table of states is whole, and keeps the laws of docs/health.md."""

from __future__ import annotations

from itertools import product

import pytest

from weatherglass.health.states import TABLE, Verdict, turn
from weatherglass.inventory import State

ALL = list(product(State, Verdict))


def test_the_table_has_a_row_for_each_state_and_a_column_for_each_verdict() -> None:
    assert set(TABLE) == set(State)
    assert all(set(row) == set(Verdict) for row in TABLE.values())


@pytest.mark.parametrize(("state", "verdict"), ALL)
def test_constant_evidence_settles_at_once(state: State, verdict: Verdict) -> None:
    once = turn(state, verdict)
    settled = turn(once, verdict)
    assert turn(settled, verdict) is settled
    if (state, verdict) != (State.DEAD, Verdict.FAIR):
        assert settled is once


@pytest.mark.parametrize(("state", "verdict"), ALL)
def test_laws(state: State, verdict: Verdict) -> None:
    after = turn(state, verdict)
    if verdict is Verdict.UNSEEN:
        assert after is State.UNKNOWN, "what is not seen is not condemned"
    if verdict is Verdict.GONE:
        assert after is State.DEAD
    if after is State.DEAD:
        assert verdict is Verdict.GONE, "nothing else makes dead"
    if after is State.HEALTHY and state is not State.HEALTHY:
        assert verdict is Verdict.WELL, "only 3 good probes in a row heal"
    if verdict is Verdict.DOUBT and state is State.HEALTHY:
        assert after is State.HEALTHY, "doubt alone changes nothing"
