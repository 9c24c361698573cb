"""The pure part: what a plan is, whatever is desired and live; its order; its reasons; and when to heal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.support import HOST, TEMPLATES, fingerprint, made, service, site, web
from weatherglass.base.errors import Corrupt, Invalid
from weatherglass.base.time import SECOND_NS
from weatherglass.deploy.model import (
    Observed,
    Plan,
    Unit,
    UnitId,
    generation,
    generation_from_json,
    observed_from_json,
    unit_from_json,
)  # fmt: skip
from weatherglass.deploy.plan import KEPT, plan, schedule, sentence
from weatherglass.deploy.reconcile import Story, to_heal
from weatherglass.deploy.render import VARIABLES
from weatherglass.deploy.units import check, units, variables
from weatherglass.engine.protocols import Running
from weatherglass.site.model import Replica, Volume

STATES = {
    "image": ["present"], "volume": ["mounted", "unmounted"], "file": ["present", "drifted"],
    "once": ["present", "failed"], "replica": ["running", "stopped", "exited", "orphan"],
}  # fmt: skip


@st.composite
def unit_maps(draw: st.DrawFn) -> dict[UnitId, Unit]:
    """Units of every kind over two hosts, their needs pointing back only (as those of a site do)."""
    found: dict[UnitId, Unit] = {}
    for number in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(sorted(STATES)))
        name = f"{kind}{number}"
        spec: dict[str, object] = {"name": name, "text": draw(st.sampled_from(["a\nb", "a\nc", "d"]))}
        if kind == "volume":
            spec = {"name": name, "size": draw(st.sampled_from([100, 200])), "max": 400}
        if kind == "replica":
            spec |= {"number": number, "needs": [], "secrets": {"s": draw(st.sampled_from(["1", "2"]))}}
        needs = (
            tuple(draw(st.lists(st.sampled_from(sorted(found)), max_size=3, unique=True)))
            if found and kind in ("once", "replica")
            else ()
        )
        host = draw(st.sampled_from(["h1", "h2"]))
        unit = Unit(UnitId(f"{kind}:{name}"), kind, host, spec, f"s{number % 3}", f"s.{number}@{host}", needs)
        found[unit.id] = unit.sealed()
    return found


@st.composite
def lives(draw: st.DrawFn) -> dict[UnitId, Observed]:
    found = {}
    for unit in draw(unit_maps()).values():
        state = draw(st.sampled_from(STATES[unit.kind]))
        found[unit.id] = observed(unit, state)
    return found


def observed(unit: Unit, state: str) -> Observed:
    return Observed(
        unit.id, unit.kind, unit.host, unit.hash, state, unit.spec, unit.service, unit.replica, unit.needs
    )


def after(live: dict[UnitId, Observed], found: Plan) -> dict[UnitId, Observed]:
    """What a host that obeys would have."""
    result = dict(live)
    for change in found.changes:
        if change.action == "remove":
            del result[change.unit.id]
        else:
            result[change.unit.id] = observed(change.unit, STATES[change.unit.kind][0])
    return result


@given(unit_maps(), lives())
def test_what_a_plan_brings_about_needs_no_further_plan(desired, live) -> None:
    found = plan(desired, live)
    assert not plan(desired, after(live, found)).changes
    kept = {key for key, seen in live.items() if seen.kind in KEPT}
    assert set(after(live, found)) - kept == set(desired) - kept


@given(unit_maps(), lives())
def test_every_change_has_a_reason_and_no_secret_in_it(desired, live) -> None:
    for change in plan(desired, live).changes:
        assert change.reasons
        assert all(reason.old != reason.new for reason in change.reasons)
        assert all(
            reason.new in ("", "a new value")
            for r in change.reasons
            if (reason := r).attribute.startswith("secrets.")
        )
        assert sentence(change).startswith(change.action)


@given(unit_maps(), lives())
def test_the_order_keeps_needs_and_makes_each_change_once(desired, live) -> None:
    found = plan(desired, live)
    waves = schedule(found.changes, desired)
    at = {change.unit.id: number for number, wave in enumerate(waves) for change in wave}
    assert sorted(at) == sorted(change.unit.id for change in found.changes)
    for change in found.changes:
        if change.action != "remove":
            assert all(at[need] < at[change.unit.id] for need in change.unit.needs if need in at)
    images = [at[c.unit.id] for c in found.changes if c.unit.kind == "image"]
    stops = [at[c.unit.id] for c in found.changes if c.unit.kind == "replica" and c.action != "remove"]
    assert not images or not stops or max(images) < min(stops)


@given(unit_maps())
def test_json_and_back_is_the_same_and_a_changed_byte_is_found(desired) -> None:
    whole = generation("aurora", desired.values(), {"site.yaml": "site: aurora"}, "site.yaml")
    body = json.loads(json.dumps(whole.to_json()))
    assert generation_from_json(body) == whole
    assert generation("aurora", reversed(desired.values()), whole.sources, whole.main).hash == whole.hash
    for unit in desired.values():
        seen = observed(unit, STATES[unit.kind][0])
        assert observed_from_json(json.loads(json.dumps(seen.to_json()))) == seen
        with pytest.raises(Corrupt):
            unit_from_json({**unit.to_json(), "spec": {**unit.spec, "more": 1}})


def test_services_start_after_what_they_need_and_one_replica_after_the_other() -> None:
    two = tuple(Replica.of("web", number, HOST) for number in (1, 2))
    declared = site(
        service("db", command=("db",)), service("web", command=("web",), needs=("db",), replicas=two)
    )
    desired = made(declared)
    waves = [[c.unit.replica for c in wave] for wave in schedule(plan(desired, {}).changes, desired)]
    assert waves == [["db.1@h1"], ["web.1@h1"], ["web.2@h1"]]


def test_what_goes_down_with_a_service_is_said() -> None:
    old = made(
        site(
            service("db", command=("db",)),
            service("api", command=("api",), needs=("db",)),
            service("ui", command=("ui",), needs=("api",)),
        )
    )
    live = {unit.id: observed(unit, "running") for unit in old.values()}
    new = made(
        site(
            service("db", command=("db", "-v")),
            service("api", command=("api",), needs=("db",)),
            service("ui", command=("ui",), needs=("api",)),
        )
    )
    [change] = plan(new, live).changes
    assert change.takes_down == ("replica/db.1@h1", "service/db", "service/api", "service/ui")
    assert str(change.reasons[0]) == 'command: ["db"] → ["db", "-v"]'


def test_of_several_replicas_only_the_one_goes_down() -> None:
    two = tuple(Replica.of("web", number, HOST) for number in (1, 2))
    live = {
        unit.id: observed(unit, "running")
        for unit in made(site(service("web", command=("a",), replicas=two))).values()
    }
    changes = plan(made(site(service("web", command=("b",), replicas=two))), live).changes
    assert [change.takes_down for change in changes] == [("replica/web.1@h1",), ("replica/web.2@h1",)]


def test_circles_of_needs_are_named() -> None:
    with pytest.raises(Invalid, match=r"in a circle: replica:a\.1@h1, replica:b\.1@h1"):
        check(site(service("a", command=("a",), needs=("b",)), service("b", command=("b",), needs=("a",))))


def test_a_volume_grown_by_health_is_no_drift_and_one_that_shrinks_is_left() -> None:
    def wanted(size: int) -> dict[UnitId, Unit]:
        declared = site(
            service("db", command=("db",), volumes={"/data": "db"}), volumes=(Volume("db", size, 400),)
        )
        return {key: unit for key, unit in made(declared).items() if unit.kind == "volume"}

    grown = {unit.id: observed(unit, "mounted") for unit in wanted(300).values()}
    assert not plan(wanted(200), grown)
    [change] = plan(wanted(400), grown).changes
    assert (change.action, change.undo) == ("grow", "irreversible")
    with pytest.raises(Invalid, match="cannot turn from sized"):
        plan(wanted(0), grown)


def test_a_new_secret_is_a_change_that_shows_no_value() -> None:
    old, new = (units(site(web(1), templates=TEMPLATES), lambda name, p=p: p) for p in ("one", "two"))
    live = {unit.id: observed(unit, STATES[unit.kind][0]) for unit in old.values()}
    reasons = {
        change.unit.kind: [str(reason) for reason in change.reasons] for change in plan(new, live).changes
    }
    assert reasons["file"] == ["secrets.page: its value → a new value"]
    assert [reason.split(":")[0] for reason in reasons["replica"]] == ["files./srv/page.txt"]


@pytest.mark.parametrize(
    ("fields", "templates", "says"),
    [
        ({"command": ("x", "{{ secret('page') }}")}, {}, "list of processes"),
        ({"command": ("x", "{{ nothing }}")}, {}, "'nothing' is undefined"),
        ({"command": ("x", "{{ volumes.db }}")}, {}, "no volume 'db' here"),
        ({"command": ("x", "{{ 1 / 0 }}")}, {}, "division by zero"),
        ({"command": ()}, {}, "a command, an image or both"),
        ({"command": ("x",), "files": {"/etc/x": "x.j2"}}, {"x.j2": "ok\n{% if %}"}, "does not parse"),
        ({"command": ("x", "{{ ''.__class__.__mro__ }}")}, {}, "cannot be rendered"),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_its_place(fields, templates, says) -> None:
    with pytest.raises(Invalid, match=says) as caught:
        check(site(service("web", **fields), templates=templates))
    assert all(problem.where.startswith("services.web") for problem in caught.value.problems)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        check(site(service("a", command=("{{ x }}",)), service("b", command=("{{ y }}",))))
    assert len(caught.value.problems) == 2


# --- when to heal ----------------------------------------------------------------------------------------


def at(seconds: float) -> int:
    return int(1000 * SECOND_NS + seconds * SECOND_NS)


def test_health_is_given_fifteen_seconds() -> None:
    story = Story().seen(Running.EXITED, at(0)).seen(Running.EXITED, at(14))
    assert not story.due(at(14.9)) and story.due(at(15))
    assert not story.seen(Running.RUNNING, at(15)).due(at(60))


def test_one_killed_again_and_again_but_steady_between_is_never_worn_out() -> None:
    story = Story()
    for round_ in range(20):
        story = (
            story.seen(Running.EXITED, at(round_ * 30))
            .rescued(at(round_ * 30 + 5))
            .seen(Running.RUNNING, at(round_ * 30 + 6))
        )
        assert not story.worn_out(at(round_ * 30 + 6), 3)


def test_one_that_falls_right_after_each_rescue_backs_off_and_wears_out() -> None:
    story, waits = Story(), []
    for round_ in range(3):
        now = at(round_ * 10)
        story = story.rescued(now).seen(Running.RUNNING, now).seen(Running.EXITED, now + SECOND_NS)
        waits.append((story.not_before_ns() - now) // SECOND_NS - 1)
    assert waits == [1, 2, 4]
    assert story.worn_out(at(22), 3) and not story.worn_out(at(700), 3)


def test_back_off_never_exceeds_a_minute() -> None:
    story = Story()
    for second in range(20):
        story = story.failed(at(second))
    assert story.not_before_ns() - at(19) == 60 * SECOND_NS


def test_what_is_healed_now() -> None:
    desired = made(site(web(1), templates=TEMPLATES))
    live = {unit.id: observed(unit, STATES[unit.kind][0]) for unit in desired.values()}
    name = "web.1@h1"
    down = {**live, UnitId(f"replica:{name}"): replace(live[UnitId(f"replica:{name}")], state="exited")}
    changes = plan(desired, down).changes
    fresh, old = {name: Story(bad_since_ns=at(0))}, {name: Story(bad_since_ns=at(-15))}

    def chosen(changes, stories, acting=frozenset(), settled=True):
        return [change.action for change in to_heal(changes, stories, acting, at(0), settled)]

    assert chosen(changes, fresh) == []
    assert chosen(changes, old) == chosen(changes, old, settled=False) == ["start"]
    assert chosen(changes, old, frozenset({name})) == []
    assert chosen(changes, {name: Story(bad_since_ns=at(-15), quarantined=True)}) == []
    assert to_heal(changes, old, frozenset(), at(0), True, frozenset({"restart"})) == (), "a person is asked"
    assert chosen(changes, {name: Story(bad_since_ns=at(-15), failures=(at(-0.5),))}) == []
    newer = made(site(web(1, environment={"A": "b"}), templates=TEMPLATES))
    changed = plan(newer, live).changes
    assert chosen(changed, {}) == ["replace"] and chosen(changed, {}, settled=False) == []
    edited = {
        key: replace(seen, state="drifted") if seen.kind == "file" else seen for key, seen in live.items()
    }
    assert chosen(plan(desired, edited).changes, {}, settled=False) == ["replace"]


def test_fingerprints_stand_for_secrets() -> None:
    [replica] = [
        u
        for u in made(site(web(1, secrets={"P": "page"}), templates=TEMPLATES)).values()
        if u.kind == "replica"
    ]
    assert replica.spec["environment"] == {"P": "@@secret:page@@"}
    assert replica.spec["secrets"] == {"page": fingerprint("page")}


def test_the_page_on_deployment_names_every_variable() -> None:
    page = (Path(__file__).parents[2] / "docs/deploy.md").read_text()
    assert all(f"| `{name}` |" in page for name in VARIABLES)
    assert set(variables(*a_replica())) | {"secret"} == set(VARIABLES)


def a_replica():
    declared = site(web(1), templates=TEMPLATES)
    return declared, declared.services["web"], declared.services["web"].replicas[0]
