"""Drills over real HTTP against a scripted fake of the house: what passes, what does not, what is always taken back."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from drill.fake_house import FakeHouse

from weatherglass.base.errors import Conflict, NotFound, Unauthenticated, Unavailable
from weatherglass.drill import DRILLS
from weatherglass.drill import run as running
from weatherglass.drill.house import TOKEN, URL, House
from weatherglass.drill.main import main

Script = list[tuple[float, dict[str, Any]]]
DB = "replica/db.1@h"


def story(kind: str, cause: str, state: Any, remedy: str) -> Script:
    """A fault as it should go: seen at 0.2 s, spread at 0.4 s, healed at 1 s, closed at 1.5 s."""
    hit = {cause: state, "service/web": "sick", "tenant/t": "sick"}
    affected = [cause, "service/db", "replica/web.1@h", "service/web", "tenant/t"]
    done = {"remedy": remedy, "state": "asked", "asked_ns": 0.3, "took_s": 0.2}
    return [
        (0.2, {"states": {cause: state}, "failing": [DB, "replica/web.1@h", "tenant/t"], "incident": {"sentence": "x", "affected": [cause]}}),
        (0.4, {"states": hit, "incident": {"cause": cause, "kind": kind, "affected": affected, "tenants": ["tenant/t"]}}),
        (1.0, {"states": dict.fromkeys(hit, "healthy"), "failing": [], "incident": {"remedies": [done], "healed_ns": 1.0}}),
        (1.5, {"incident": {"state": "closed", "closed_ns": 1.5, "sentence": "db broke; it took web with it."}}),
    ]  # fmt: skip


STORIES = {
    "kill-store": story("dead", DB, "dead", "restart"),
    "hang-store": story("hung", DB, ["sick", "hung"], "restart"),
    "disk-full": story("full", "volume/data", "sick", "grow"),
}
FAULTS = {
    "kill-store": [{"host": "h", "fault": "kill", "replica": "db.1@h"}],
    "hang-store": [
        {"host": "h", "fault": "stop", "replica": "db.1@h"},
        {"host": "h", "fault": "cont", "replica": "db.1@h"},
    ],
    "disk-full": [
        {"host": "h", "fault": "fill", "volume": "data", "leave_bytes": 0},
        {"host": "h", "fault": "unfill", "volume": "data"},
    ],
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(running, "CALM_S", 0.2)
    monkeypatch.setattr(running, "READY_S", 0.3)
    monkeypatch.setattr(running, "AFTER_S", 0.0)


def drilled(
    name: str, script: Script, healed_s: float = 6.0
) -> tuple[dict[str, bool], FakeHouse, running.Outcome]:
    drill = DRILLS[name]
    expect = type(drill.expect)(
        **{field: getattr(drill.expect, field) for field in drill.expect.__slots__} | {"healed_s": healed_s}
    )
    drill = type(drill)(**{field: getattr(drill, field) for field in drill.__slots__} | {"expect": expect})
    with FakeHouse(copy.deepcopy(script)) as fake:
        outcome = running.run(drill, House(fake.url, "wg_t_s"))
    return {check.name: check.ok for check in outcome.checks}, fake, outcome


@pytest.mark.parametrize("name", STORIES)
def test_a_drill_that_goes_as_it_should(name: str) -> None:
    checks, fake, outcome = drilled(name, STORIES[name])
    assert all(checks.values()), outcome.checks
    assert fake.faults == FAULTS[name]


def changed(at: int, **incident: Any) -> Script:
    script = copy.deepcopy(STORIES["hang-store"])
    script[at][1]["incident"].update(incident)
    return script


WRONG: dict[str, tuple[Script, set[str]]] = {
    "told as dead": (changed(1, kind="dead"), {"kind"}),
    "told as dead first": (changed(0, kind="dead"), {"kind"}),
    "another cause": (changed(1, cause="replica/web.1@h"), {"cause"}),
    "nobody named": (changed(1, affected=[DB, "service/db"], tenants=[]), {"dependants", "tenants"}),
    "a dependant first": (changed(1, affected=["service/web", DB, "tenant/t"]), {"dependants"}),
    "nothing done": (changed(2, remedies=[]), {"remedy"}),
    "another remedy": (
        changed(2, remedies=[{"remedy": "grow", "state": "asked", "asked_ns": 0.3, "took_s": 0.2}]),
        {"remedy"},
    ),
    "asked, never done": (
        changed(2, remedies=[{"remedy": "restart", "state": "asked", "asked_ns": 0.3, "took_s": 0}]),
        {"remedy"},
    ),
    "too late": (changed(2, healed_ns=9.0), {"healed"}),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_met_is_told(case: str) -> None:
    script, missed = WRONG[case]
    checks, fake, outcome = drilled("hang-store", script)
    assert {name for name, ok in checks.items() if not ok} == missed, outcome.checks
    assert fake.faults[-1]["fault"] == "cont"


def test_nothing_seen_at_all_and_the_fault_is_taken_back() -> None:
    checks, fake, _ = drilled("disk-full", [], healed_s=0.5)
    assert checks == {"detected": False}
    assert [one["fault"] for one in fake.faults] == ["fill", "unfill"]


def test_a_second_incident_left_open_is_told() -> None:
    script = [
        *STORIES["kill-store"],
        (1.5, {"incident": {"id": 9, "sentence": "mail is slow", "affected": ["service/mail"]}}),
    ]
    checks, _, outcome = drilled("kill-store", script, healed_s=3.0)
    assert {name for name, ok in checks.items() if not ok} == {"nothing left"}
    assert outcome.observed.others == {9: "mail is slow"}


def test_a_house_that_is_away_meanwhile_is_waited_for() -> None:
    script = copy.deepcopy(STORIES["kill-store"])
    script[1][1]["silent"] = 0.3
    checks, _, outcome = drilled("kill-store", script)
    assert all(checks.values()), outcome.checks
    assert outcome.observed.silent > 0


def test_no_drill_begins_where_something_is_wrong() -> None:
    with FakeHouse([]) as fake:
        fake.states["service/web"] = ("sick", "")
        with pytest.raises(Conflict, match="service/web is sick"):
            running.run(DRILLS["kill-store"], House(fake.url, "wg_t_s"))
        assert fake.faults == []
        with pytest.raises(Unauthenticated):
            House(fake.url, "wrong").get("status")
    with pytest.raises(Unavailable, match="does not answer"):
        House(fake.url, "wg_t_s").get("status")


def test_the_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in STORIES)
    assert main(["list", "--json"]) == 0
    assert {one["name"] for one in json.loads(capsys.readouterr().out)} == set(DRILLS)
    with pytest.raises(NotFound, match="kill-stor") as refused:
        main(["run", "kill-stor"])
    assert "did you mean kill-store" in str(refused.value)
    with FakeHouse(copy.deepcopy(STORIES["kill-store"])) as fake:
        monkeypatch.setenv(URL, fake.url)
        monkeypatch.setenv(TOKEN, "wg_t_s")
        assert main(["run", "kill-store", "--json", "--service", "db"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["passed"], told["drill"], told["page"]) == (True, "kill-store", f"{fake.url}/i/8")
        assert 0.1 < told["delays"]["seen_s"] < 2
        assert 0.9 < told["delays"]["healed_s"] < 1.2
        assert [line["after_s"] for line in told["timeline"]] == sorted(
            line["after_s"] for line in told["timeline"]
        )
    with FakeHouse(copy.deepcopy(WRONG["nothing done"][0])) as fake:
        monkeypatch.setenv(URL, fake.url)
        assert main(["run", "hang-store"]) == 1
        out = capsys.readouterr().out
        assert "NOT MET  remedy" in out
        assert "hang-store: failed (remedy)" in out
        assert "db broke; it took web with it." in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_takes_the_fault_back(number: signal.Signals) -> None:
    with FakeHouse([]) as fake:
        program = (
            "import sys; from weatherglass.drill.main import main; sys.exit(main(['run', 'hang-store']))"
        )
        made = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, URL: fake.url, TOKEN: "wg_t_s"},
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20
        while not fake.faults:
            assert time.monotonic() < until
            time.sleep(0.02)
        made.send_signal(number)
        assert made.wait(10) != 0
        assert [one["fault"] for one in fake.faults] == ["stop", "cont"]
