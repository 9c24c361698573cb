"""From any live state to the policy: the plan leads there, does nothing the second time, and opens nothing on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shares.world import VERSIONS, compiled, small
from weatherglass.base.errors import Invalid
from weatherglass.shares.lustre import live, plan
from weatherglass.shares.lustre.compile import commands
from weatherglass.shares.lustre.compile import text as as_text
from weatherglass.shares.lustre.state import State
from weatherglass.shares.nids import of_cidr
from weatherglass.shares.policy import FileSystem
from weatherglass.shares.proof import prove

LISTING = """\
nodemap.active=1
nodemap.default.admin_nodemap=0
nodemap.default.audit_mode=1
nodemap.default.deny_unknown=1
nodemap.default.exports=
[

]
nodemap.default.squash_uid=65534
nodemap.old.admin_nodemap=1
nodemap.old.ranges=
[
 { id: 1, start_nid: 10.9.0.0@tcp9, end_nid: 10.9.0.255@tcp9 },
 { id: 2, start_nid: 10.9.1.7@tcp9, end_nid: 10.9.1.7@tcp9 }
]
nodemap.old.idmap=
[
 { idtype: uid, client_id: 5, fs_id: 41 },
 { idtype: projid, client_id: 5, fs_id: 41 }
]
nodemap.old.fileset=/old
"""


def full(fs: FileSystem, state: State) -> bool:
    """Proven with nodemaps as `state` has them, and LNet as compiled."""
    lnet = as_text([one for one in commands(fs) if one.where != "mgs"])
    return prove(fs, lnet, live.parse(live.listing(state), fs.version)).proven


@pytest.mark.parametrize("version", VERSIONS)
def test_from_nothing_and_back_again(version: tuple[int, int]) -> None:
    fs = small(version)
    state = plan.after(State(version), plan.plan(fs, State(version)))
    assert plan.same(state, plan.wanted(fs)) == []
    assert plan.plan(fs, state) == []
    assert full(fs, state)


def test_a_listing_is_read() -> None:
    state = live.parse(LISTING, (2, 15))
    old = state.nodemaps["old"]
    assert state.active and old.admin and old.uids == {5: 41} and old.fileset == "/old"
    assert [str(one) for one in old.ranges] == ["10.9.0.[0-255]@tcp9", "10.9.1.7@tcp9"]
    fs = small()
    made = [str(change.command) for change in plan.plan(fs, state)]
    assert made[:3] == [
        "lctl nodemap_del_range --name old --range 10.9.0.[0-255]@tcp9",
        "lctl nodemap_del_range --name old --range 10.9.1.7@tcp9",
        "lctl nodemap_del old",
    ]
    with pytest.raises(Invalid, match="squash_uid"):
        live.parse("nodemap.a.squash_uid=many\n", (2, 15))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_listing_of_a_state_is_that_state(version: tuple[int, int]) -> None:
    should = plan.wanted(small(version))
    assert plan.same(live.parse(live.listing(should), version), should) == []


def test_a_change_of_the_part_names_whom_to_evict() -> None:
    fs = small()
    state = plan.wanted(fs)
    shares = tuple(replace(one, root="/moved") if one.tenant == "genomics" else one for one in fs.shares)
    changes = plan.plan(replace(fs, shares=shares), state)
    assert {change.evict for change in changes if "fileset" in str(change.command)} == {"genomics"}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_from_any_policy_to_any_other_no_window_opens(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(VERSIONS))
    before, goal = _changed(data, small(version)), small(version)
    state = plan.wanted(before)
    changes = plan.plan(goal, state)
    lnet = [one for one in commands(goal) if one.where != "mgs"]
    # Legs are up all the while: every step is asked what an attacker gets.
    text = as_text([*lnet, *(change.command for change in changes)])
    found = [one for one in prove(goal, text, state).findings if one.kind in ("attack", "window", "refused")]
    assert not found, (found[0], [str(change.command) for change in changes])
    assert plan.same(state, plan.wanted(goal)) == []


def _changed(data: st.DataObject, fs: FileSystem) -> FileSystem:
    """Another policy: tenants gone, with other ids, roots, maps or addresses."""
    shares = []
    for number, one in enumerate(fs.shares):
        if data.draw(st.booleans()):
            continue
        if one.offset is None:
            one = replace(one, uid=data.draw(st.sampled_from([one.uid, 80 + number])))
            one = replace(one, uids=data.draw(st.sampled_from([{}, one.uids, {5: 60 + number}])))
        one = replace(one, root=data.draw(st.sampled_from([one.root, f"/x{number}"])))
        if data.draw(st.booleans()):
            one = replace(one, ranges=(of_cidr(f"10.{20 + number}.0.0/29", one.net),))
        shares.append(one)
    return replace(fs, shares=tuple(shares))


def test_compiled_commands_and_the_plan_come_to_the_same() -> None:
    fs = small()
    assert prove(fs, compiled(fs)).proven
    state = plan.after(State(fs.version), plan.plan(fs, State(fs.version)))
    assert full(fs, state)
