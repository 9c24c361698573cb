"""Evidence as people read it: counted right, and an only replica by its service's name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.ids import EntityId
from weatherglass.health import words
from weatherglass.health.signals import Rhythm

STORE, ONE = EntityId("service/store"), EntityId("replica/store.1@here")
WEB = EntityId("replica/web.1@here")


@pytest.mark.parametrize(
    ("entity", "parent", "alone", "told"),
    [
        (STORE, ONE, True, "Its one replica is not well."),
        (STORE, ONE, False, "Its replica on here is not well."),
        (WEB, ONE, True, "web on here depends on store, which is not well."),
        (WEB, ONE, False, "web on here depends on store on here, which is not well."),
        (EntityId("tenant/lab"), STORE, True, "tenant lab depends on store, which is not well."),
    ],
)
def test_what_it_hangs_on(entity: EntityId, parent: EntityId, alone: bool, told: str) -> None:
    assert words.hangs_on(entity, parent, 0, alone).text == told


@pytest.mark.parametrize(
    ("entity", "members", "told"),
    [
        ("service/store", 1, "Its one replica is well."),
        ("service/store", 3, "All 3 replicas of store are well."),
        ("tenant/lab", 1, "The one service it uses is well."),
        ("tenant/lab", 2, "All 2 services that tenant lab uses are well."),
        ("zone/a", 1, "Its one host is well."),
    ],
)
def test_members_that_are_well(entity: str, members: int, told: str) -> None:
    assert words.members_well(EntityId(entity), [STORE] * members, 0).text == told


def test_one_is_told_as_one() -> None:
    assert words.windows(1, 0).text == "1 of the last 5 windows of 10 s was bad."
    assert words.few_heartbeats(EntityId("host/a"), 1, 0).text.startswith("1 heartbeat of")
    assert words.error_burst(ONE, 1, 0.0, 0).text.startswith("1 line of")


@given(st.floats(0, 100))
def test_phi_is_never_below_nought(silent_s: float) -> None:
    rhythm = Rhythm()
    for number in range(30):
        rhythm.beat(2.0 * number, 2.0)
    told = words.phi(EntityId("host/a"), rhythm.phi(58.0 + silent_s), silent_s, 0)
    assert "-0.0" not in told.text and str(told.value)[0] != "-"
