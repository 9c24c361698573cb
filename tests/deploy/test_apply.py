"""The whole way, in one process: a declaration on disk → Deploy → work queue → a real executor → real servers.

The agent here is a thread with the real executor; its HTTP is the agent's own tests' matter.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.support import HOST, SECRETS, answers, executor, fetch, free_port, until
from weatherglass.base.errors import Conflict, Invalid, NotFound, Unavailable, WeatherglassError
from weatherglass.base.time import SystemClock
from weatherglass.deploy import hands, keeper
from weatherglass.deploy.apply import Deploy
from weatherglass.deploy.execute import Executor
from weatherglass.deploy.reconcile import Story
from weatherglass.deploy.store import METADATA, MIGRATIONS
from weatherglass.engine.actions import Actions
from weatherglass.engine.blobs import Blobs
from weatherglass.engine.bus import LocalBus
from weatherglass.engine.ledger import FileLedger
from weatherglass.engine.protocols import Heartbeat, ProbeResult, Request, Running, WorkResult
from weatherglass.engine.tables import Tables
from weatherglass.engine.work import Queues
from weatherglass.inventory import METADATA as INVENTORY
from weatherglass.inventory import MIGRATIONS as INVENTORY_MIGRATIONS
from weatherglass.inventory import Inventory

WEB, API = "web.1@h1", "api.1@h1"


class FakeAgent:
    """An agent's loop around the real executor, without HTTP."""

    def __init__(self, queues: Queues, hands: Executor, deploy: Deploy) -> None:
        self.hands, self.queues, self.deploy = hands, queues, deploy
        self.stopping = threading.Event()
        self.threads = [
            threading.Thread(target=self.work, daemon=True),
            threading.Thread(target=self.beat, daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    def work(self) -> None:
        with contextlib.suppress(Unavailable):  # the server is gone; it asks again when it is back
            self.streams()

    def streams(self) -> None:
        start = 0
        while not self.stopping.is_set():
            for item in self.queues.stream(HOST, start, 0.2):
                start = item.offset + 1

                def progress(share: float, line: str, item=item) -> None:
                    body = {"share": share, "text": line}
                    self.queues.result(HOST, WorkResult(item.offset, item.key, "progress", body))

                executors = {"deploy.converge": self.hands.converge, "deploy.act": self.hands.act}
                try:
                    result = WorkResult(
                        item.offset, item.key, "done", executors[item.kind](item.body, progress)
                    )
                except WeatherglassError as error:
                    result = WorkResult(item.offset, item.key, "failed", error=error.message)
                self.queues.result(HOST, result)

    def beat(self) -> None:
        seq = 0
        while not self.stopping.wait(0.1):
            seq += 1
            replicas = tuple(self.hands.replicas())
            self.deploy.seen(Heartbeat(HOST, "boot", seq, time.time_ns(), 0.1, replicas))

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(5)


def probe(site, service, replica) -> ProbeResult:
    ok = answers(service.ports["http"])
    return ProbeResult(f"replica/{replica.name}", "server", time.time_ns(), ok, 0.01, "" if ok else "refused")


class House:
    """A server's worth of rooms on one state folder; can be crashed and built again."""

    def __init__(self, root: Path) -> None:
        self.root, self.port, self.api = root, free_port(), free_port()
        self.path = root / "site" / "site.yaml"
        self.path.parent.mkdir()
        (self.path.parent / "page.j2").write_text("{{ replica.name }} {{ secret('page') }}\n")
        self.declare()
        self.sites: list[int] = []
        self.build()

    def declare(self, mode: str = "one", *, api: bool = True, once: str = "") -> None:
        def one(name: str, port: int, more: str) -> str:
            return f"""
  {name}:
    command: [python3, -m, http.server, --bind, 127.0.0.1, "{{{{ ports.http }}}}", --directory, "{{{{ paths.data }}}}/../files"]
    runtime: process
    ports: {{http: {port}}}
    files: {{/srv/page.txt: page.j2}}
    environment: {{MODE: {mode}}}
    probe: {{http: /srv/page.txt}}
    stop_grace: 2s
{more}"""

        text = f"site: aurora\nhosts:\n  {HOST}: {{address: 127.0.0.1, roles: [all]}}\nroles: {{all: [web{', api' if api else ''}]}}\nservices:"
        text += one("web", self.port, once)
        if api:
            text += one("api", self.api, "    needs: [web]\n")
        self.path.write_text(text)

    def build(self) -> None:
        self.tables = Tables(self.root / "tables.db")
        self.tables.migrate(
            {"deploy": (METADATA, MIGRATIONS), "inventory": (INVENTORY, INVENTORY_MIGRATIONS)}
        )
        self.bus, clock = LocalBus(), SystemClock()
        self.ledger = FileLedger(self.root / "ledger", bus=self.bus)
        self.queues = Queues(self.root / "work")
        self.actions = Actions()
        self.inventory = Inventory(self.tables, self.bus, clock)
        self.deploy = Deploy(
            self.root / "deploy", site_path=self.path, work=self.queues, inventory=self.inventory,
            ledger=self.ledger, bus=self.bus, tables=self.tables, blobs=Blobs(self.root / "deploy" / "blobs"),
            clock=clock, actions=self.actions, secret=SECRETS.__getitem__, probe=probe,
            on_site=lambda site, number: self.sites.append(number),
        )  # fmt: skip
        self.hands = executor(self.root / "state")
        self.hands.adopt()
        self.agent = FakeAgent(self.queues, self.hands, self.deploy)
        self.deploy.start()

    def down(self) -> None:
        self.deploy.stop()
        self.queues.close()
        self.agent.stop()
        self.ledger.close()
        self.tables.close()

    def done(self, run: int, state: str = "done") -> None:
        until(lambda: self.deploy.run(run).state != "running", 20)
        view = self.deploy.run(run)
        assert view.state == state, (view.error, [item.text for item in view.items])

    def replica(self, name: str):
        return next(seen for seen in self.hands.replicas() if seen.replica == name)


@pytest.fixture
def house(tmp_path: Path, state: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.down()


@pytest.fixture
def up(house: House) -> House:
    house.done(house.deploy.apply(who="ada", why="first"))
    until(lambda: house.deploy._keeper._looked_ns)  # the first look heals without patience, and asks nobody
    return house


def test_tables_and_migrations_agree(house: House) -> None:
    assert house.tables.differences({"deploy": (METADATA, MIGRATIONS)}) == []


def test_plan_apply_and_nothing_left_to_do(house: House) -> None:
    found = house.deploy.plan()
    assert {change.action for change in found.changes} == {"create"} and len(found.changes) == 4
    run = house.deploy.apply(who="ada", why="first light", expect=found.to_json())
    house.done(run)
    assert fetch(house.api) == f"{API} {SECRETS['page']}\n"
    view = house.deploy.run(run)
    texts = [item.text for item in view.items]
    assert texts.index(f"{WEB} answers its probe") < texts.index(f"starting {API}")  # its need is ready first
    assert view.fraction == 1.0 and view.plan is not None and len(view.plan["changes"]) == 4
    assert not house.deploy.plan() and not house.deploy.drift()
    assert house.sites == [1]
    assert house.inventory.entity("service/api").name == "api"
    entries = [(entry.what, entry.after["state"]) for entry in house.ledger.read()]
    assert entries == [("deploy.apply", "live"), ("deploy.apply", "begun")]
    assert SECRETS["page"] not in (house.root / "deploy").rglob("*.json").__next__().read_text()
    assert house.deploy.secrets_of(HOST) == {"page"} and house.deploy.secrets_of("other") == frozenset()


def test_a_saved_plan_is_refused_when_the_world_moved_on(up: House) -> None:
    up.declare("two")
    saved = up.deploy.plan().to_json()
    up.declare("three")
    with pytest.raises(Conflict, match="the declaration is no longer"):
        up.deploy.apply(who="ada", expect=saved)
    saved = up.deploy.plan().to_json()
    (up.root / "state/services" / WEB / "files/srv/page.txt").write_text("mine")
    with pytest.raises(Conflict, match="what runs is no longer"):
        up.deploy.apply(who="ada", expect=saved)


def test_change_and_roll_back(up: House) -> None:
    up.declare("two")
    found = up.deploy.plan()
    assert [str(change.reasons[0]) for change in found.changes] == ["environment.MODE: one → two"] * 2
    up.done(up.deploy.apply(who="ada", why="a change"))
    assert [row.state for row in up.deploy.generations()] == ["live", "superseded"]
    up.done(up.deploy.rollback(who="bo", why="it was better"))
    assert up.deploy.live()["replica:" + WEB].spec["environment"]["MODE"] == "one"
    assert [(row.number, row.state) for row in up.deploy.generations()] == [
        (3, "live"),
        (2, "superseded"),
        (1, "superseded"),
    ]
    assert "MODE: one" in up.deploy.site().source


def test_what_is_no_longer_declared_goes(up: House) -> None:
    up.declare(api=False)
    assert {change.action for change in up.deploy.plan().changes} == {"remove"}
    up.done(up.deploy.apply(who="ada"))
    assert not answers(up.api) and answers(up.port)


def test_a_failing_apply_stops_says_how_to_go_back_and_goes_back(up: House) -> None:
    up.declare("two", once="    once: {sync: [python3, -c, \"raise SystemExit('no')\"]}\n")
    run = up.deploy.apply(who="ada")
    up.done(run, "failed")
    view = up.deploy.run(run)
    assert "job sync failed with exit code 1: no" in view.error and "rollback --to 1" in view.mend
    assert answers(up.port) and answers(up.api)  # nothing was stopped before the job
    assert up.deploy.generations()[0].state == "failed"
    time.sleep(0.5)
    assert (
        up.deploy.live()["replica:" + WEB].spec["environment"]["MODE"] == "one"
    )  # left for a person to decide
    up.done(up.deploy.rollback(who="ada"))
    assert not up.deploy.drift()


def test_a_restart_asked_for_is_made_proven_and_measured(up: House) -> None:
    pid = up.replica(WEB).pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: up.replica(WEB).state is Running.EXITED)
    outcome = up.actions.ask(Request("deploy.restart", f"replica/{WEB}", "health", "it exited"))
    again = up.actions.ask(Request("deploy.restart", f"replica/{WEB}", "health", "it exited"))
    assert outcome.accepted and again.reference == outcome.reference
    up.done(int(outcome.reference))
    assert answers(up.port)
    seconds = up.deploy.rescue_seconds("web")
    assert seconds is not None and seconds < 5 and up.deploy.rescue_seconds("api") is None
    assert [e.after["state"] for e in up.ledger.read(entity=f"replica/{WEB}")] == ["running", "begun"]
    with pytest.raises(NotFound):
        up.deploy.restart("nobody.1@h1", "", "ada")


def test_one_that_falls_soon_again_is_restarted_when_its_back_off_is_over(
    up: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weatherglass.deploy.reconcile.BACK_OFF_S", (1.5,))
    monkeypatch.setattr(keeper, "IN_FLIGHT_NS", 0)
    reasons = []
    for _ in range(2):
        os.kill(up.replica(WEB).pid, signal.SIGKILL)
        until(lambda: up.deploy._keeper.stories().get(WEB, Story()).bad_since_ns)
        began = time.monotonic()
        outcome = up.actions.ask(Request("deploy.restart", f"replica/{WEB}", "health", "it exited"))
        assert outcome.accepted, "who asks is not sent away"
        reasons.append(outcome.reason)
        up.done(int(outcome.reference))
        assert answers(up.port)
    assert "back-off" not in reasons[0] and "after a back-off of 1." in reasons[1]
    assert time.monotonic() - began > 1
    assert any("waiting 1." in item.text for item in up.deploy.run(int(outcome.reference)).items)


def test_the_reconciler_heals_what_nobody_asked_for(up: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weatherglass.deploy.reconcile.PATIENCE_NS", 500_000_000)
    os.kill(up.replica(API).pid, signal.SIGKILL)
    until(lambda: answers(up.api) and up.deploy.runs()[0].state == "done")
    assert up.deploy.runs()[0].kind == "heal"
    page = up.root / "state/services" / WEB / "files/srv/page.txt"
    # Paused before the page is changed: a look at the same moment would heal it rightly.
    up.deploy.pause("ada", "looking")
    page.write_text("mine")
    monkeypatch.setattr(keeper, "LOOK_EVERY_NS", 0)
    time.sleep(0.4)
    assert page.read_text() == "mine"
    up.deploy.resume("ada")
    until(lambda: page.read_text() != "mine")
    up.hands.act({"action": "remove", "unit": f"replica:{API}"}, lambda share, line: None)
    until(lambda: answers(up.api))


def test_one_that_keeps_falling_is_quarantined_until_a_person_asks(
    up: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weatherglass.deploy.reconcile.PATIENCE_NS", 100_000_000)
    monkeypatch.setattr("weatherglass.deploy.reconcile.BACK_OFF_S", (0, 0, 0))
    monkeypatch.setattr(keeper, "IN_FLIGHT_NS", 0)
    deadline = time.monotonic() + 25
    while API not in up.deploy.status()["quarantined"]:
        assert time.monotonic() < deadline
        seen = up.replica(API)
        if seen.state is Running.RUNNING and seen.pid:
            os.kill(seen.pid, signal.SIGKILL)
        time.sleep(0.1)
    until(lambda: up.replica(API).state is Running.QUARANTINED)
    refused = up.deploy.restart(API, "it is down", "health")
    assert not refused.accepted and "quarantined" in refused.reason
    assert any(entry.what == "deploy.quarantine" for entry in up.ledger.read())
    asked = up.deploy.restart(API, "mended", "ada")
    up.done(int(asked.reference))
    assert up.deploy.status()["quarantined"] == [] and answers(up.api)


def test_a_server_that_dies_amid_an_apply_goes_on_with_it(house: House) -> None:
    house.declare(once='    once: {slow: [sleep, "2"]}\n')
    house.deploy.apply(who="ada")
    time.sleep(0.5)  # amid the job
    house.down()
    house.build()
    until(lambda: house.deploy.generations()[0].state == "live", 20)
    assert answers(house.api)
    until(lambda: house.deploy.runs()[0].state == "done")
    assert [(view.kind, view.state) for view in house.deploy.runs()[:2]] == [
        ("apply", "done"),
        ("apply", "interrupted"),
    ]


def test_a_warm_start_knows_what_is_live(up: House) -> None:
    pid = up.replica(WEB).pid
    up.down()
    up.build()
    assert up.deploy.status()["state"] == "live" and up.replica(WEB).pid == pid
    assert not up.deploy.plan()
    assert up.deploy.site().name == "aurora"


def test_text_can_be_checked_without_its_files(up: House) -> None:
    text = up.path.read_text()
    assert up.deploy.check(text).name == "aurora"
    with pytest.raises(Invalid, match="wob"):
        up.deploy.check(text.replace("needs: [web]", "needs: [wob]"))


def test_two_applies_do_not_run_beside_each_other(house: House) -> None:
    house.deploy.apply(who="ada")
    with pytest.raises(Conflict, match="under way"):
        house.deploy.apply(who="bo")


def test_down_and_up_again_loses_nothing(up: House) -> None:
    assert up.deploy.down("ada", "maintenance") == [API, WEB]  # dependents first
    assert not answers(up.port) and up.deploy.status()["paused"]
    up.deploy.resume("ada")
    until(lambda: answers(up.api))
    until(lambda: not up.deploy.drift())


def test_a_host_that_was_rebooted_is_brought_up_without_waiting_for_health(up: House) -> None:
    up.deploy.down("ada")
    up.deploy._store.set("paused", "")
    up.down()
    up.build()
    began = time.monotonic()
    until(lambda: answers(up.api))
    assert time.monotonic() - began < 8


def test_orders_that_come_too_late_are_refused(up: House) -> None:
    with pytest.raises(Unavailable, match="too late"):
        up.hands.act(
            {"action": "restart", "replica": WEB, "expires_ns": time.time_ns() - 1}, lambda share, line: None
        )
    assert up.replica(WEB).restarts == 0


def test_an_agent_that_dies_amid_an_apply_is_not_waited_for_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "SILENCE_S", 0.2)
    monkeypatch.setattr(hands, "GONE_S", 0.8)
    until(lambda: house.deploy.plan())
    house.agent.stop()
    run = house.deploy.apply(who="ada")
    pending = next(iter(house.queues.stream(HOST, 0, 5.0)))
    house.queues.result(HOST, WorkResult(pending.offset, pending.key, "done", {"observed": {}}))
    house.done(run, "failed")
    assert f"the agent on {HOST} has not been heard of" in house.deploy.run(run).error


def test_a_generation_that_cannot_be_read_does_not_keep_the_server_down(up: House) -> None:
    up.down()
    [blob] = (up.root / "deploy" / "blobs" / "generations").glob("*.json")
    blob.write_bytes(blob.read_bytes().replace(b"aurora", b"aurorb", 1))
    up.build()
    assert "does not match its hash" in up.deploy.status()["trouble"]
    up.done(up.deploy.apply(who="ada"))
    assert up.deploy.status()["trouble"] == "" and up.deploy.status()["generation"] == 2
