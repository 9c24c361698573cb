"""Tokens, seats, sessions on real tables: who holds, until when, and what the ledger learns."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from weatherglass.base.errors import Conflict, Invalid, NotFound, Unauthenticated
from weatherglass.base.time import SECOND_NS, ManualClock
from weatherglass.engine.protocols import Entry, Role
from weatherglass.engine.tables import Tables
from weatherglass.identity import ROOM, Identity


@dataclass
class FakeLedger:
    entries: list[Entry] = field(default_factory=list)

    def append(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1

    def read(self, *, entity: str = "", start_ns: int = 0, end_ns: int = 0, limit: int = 200) -> list[Entry]:
        return self.entries[::-1][:limit]


@dataclass
class FakeTenant:
    seats: int = 0
    expires_ns: int = 0
    limits: str = "limits"


@dataclass
class World:
    identity: Identity
    clock: ManualClock
    ledger: FakeLedger
    tenants: dict[str, FakeTenant]
    tables: Tables
    path: Path


@pytest.fixture
def world(tmp_path: Path):
    tables = Tables(tmp_path / "tables.db")
    tables.migrate(ROOM)
    clock, ledger, tenants = ManualClock(), FakeLedger(), {"genomics": FakeTenant()}
    yield World(
        Identity(tables, clock, ledger, lambda: tenants),
        clock,
        ledger,
        tenants,
        tables,
        tmp_path / "tables.db",
    )
    tables.close()


def test_the_migration_makes_what_the_code_expects(world: World) -> None:
    assert world.tables.differences(ROOM) == []


def test_a_token_resolves_to_who_it_was_made_for(world: World) -> None:
    issued = world.identity.create("mia", "operator", ["site", "genomics"], who="admin", why="on call")
    principal = world.identity.resolve(issued.token)
    assert (principal.name, principal.role, principal.tenants) == ("mia", Role.OPERATOR, ("site", "genomics"))
    assert issued.token.startswith(f"wg_{issued.id}_")
    entry = world.ledger.entries[-1]
    assert (entry.what, entry.who, entry.why, entry.after["name"]) == (
        "token.create",
        "admin",
        "on call",
        "mia",
    )


def test_no_secret_is_stored_or_told(world: World) -> None:
    issued = world.identity.create("mia", Role.MEMBER, ["genomics"])
    secret = issued.token.split("_", 2)[2]
    session = world.identity.login(issued.token)
    ticket = world.identity.login_ticket(world.identity.resolve(issued.token))
    connection = sqlite3.connect(world.path)
    stored = repr(
        [
            connection.execute(f"SELECT * FROM identity_{name}").fetchall()
            for name in ("tokens", "sessions", "tickets")
        ]
    )
    connection.close()
    told = repr(world.identity.list()) + repr(world.ledger.entries)
    for text in (secret, session, ticket):
        assert text not in stored
        assert text not in told


@pytest.mark.parametrize("text", ["", "wg_", "nonsense", "wg_0123456789ab_" + "A" * 43, "wg_é_x", "Bearer x"])
def test_what_is_no_token_is_refused(world: World, text: str) -> None:
    world.identity.create("mia", Role.MEMBER, ["genomics"])
    with pytest.raises(Unauthenticated):
        world.identity.resolve(text)


def test_the_right_id_with_another_secret_is_refused(world: World) -> None:
    one = world.identity.create("one", Role.MEMBER, ["genomics"])
    two = world.identity.create("two", Role.ADMIN, ["*"])
    with pytest.raises(Unauthenticated):
        world.identity.resolve(f"wg_{two.id}_" + one.token.split("_", 2)[2])


def test_a_token_ends_when_its_time_is_over(world: World) -> None:
    issued = world.identity.create("mia", Role.MEMBER, ["genomics"], ttl_s=60)
    world.identity.resolve(issued.token)
    world.clock.advance(59)
    world.identity.resolve(issued.token)
    world.clock.advance(2)
    with pytest.raises(Unauthenticated, match="expired"):
        world.identity.resolve(issued.token)
    assert world.identity.list() == []
    assert [info.name for info in world.identity.list(all=True)] == ["mia"]


def test_a_revoked_token_ends_at_once_with_its_sessions_and_tickets(world: World) -> None:
    issued = world.identity.create("mia", Role.MEMBER, ["genomics"])
    session = world.identity.login(issued.token)
    ticket = world.identity.login_ticket(world.identity.resolve(issued.token))
    assert world.identity.session(session).name == "mia"
    world.identity.revoke("mia", who="admin")
    for attempt, text in (
        (world.identity.resolve, issued.token),
        (world.identity.session, session),
        (world.identity.redeem, ticket),
    ):
        with pytest.raises(Unauthenticated):
            attempt(text)
    assert world.ledger.entries[-1].what == "token.revoke"
    with pytest.raises(NotFound):
        world.identity.revoke("mia")


def test_names_in_force_are_unique_and_free_again_after(world: World) -> None:
    first = world.identity.create("mia", Role.MEMBER, ["genomics"])
    with pytest.raises(Conflict):
        world.identity.create("mia", Role.VIEWER, ["genomics"])
    world.identity.revoke(first.id)
    assert world.identity.create("mia", Role.VIEWER, ["genomics"]).id != first.id


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"role": "king"}, "role"),
        ({"tenants": []}, "tenants"),
        ({"tenants": ["a b"]}, "tenants"),
        ({"ttl_s": -1}, "ttl"),
        ({"ttl_s": float("nan")}, "ttl"),
        ({"host": "ctl-1"}, "host"),
        ({"role": "agent"}, "host"),
        ({"role": "agent", "host": "../x"}, "host"),
    ],
)
def test_what_cannot_be_a_token_is_refused_where_it_is_wrong(world: World, fields: dict, where: str) -> None:
    asked = {"name": "mia", "role": "member", "tenants": ["genomics"]} | fields
    with pytest.raises(Invalid) as caught:
        world.identity.create(**asked)
    assert caught.value.where == where


def test_an_agent_is_bound_to_its_host_and_opens_no_session(world: World) -> None:
    issued = world.identity.create("agent-ctl-1", Role.AGENT, ["site"], host="ctl-1")
    assert world.identity.resolve(issued.token).host == "host/ctl-1"
    assert world.ledger.entries[-1].entity == "host/ctl-1"
    with pytest.raises(Unauthenticated):
        world.identity.login(issued.token)
    with pytest.raises(Unauthenticated):
        world.identity.login_ticket(world.identity.resolve(issued.token))


def test_a_course_gets_its_seats_once_and_loses_them_at_its_end(world: World) -> None:
    end = world.clock.now_ns() + 3600 * SECOND_NS
    world.tenants["resops-course"] = FakeTenant(seats=30, expires_ns=end)
    seats = world.identity.issue_seats("resops-course", who="teacher")
    assert len(seats) == 30
    assert world.identity.issue_seats("resops-course") == []
    principal = world.identity.resolve(seats[0][1].token)
    assert (principal.role, principal.tenants) == (Role.MEMBER, ("resops-course",))
    assert principal.expires_ns == pytest.approx(end, abs=SECOND_NS)
    world.identity.revoke("resops-course-07")
    assert [name for name, _ in world.identity.issue_seats("resops-course")] == ["resops-course-07"]
    world.clock.advance(3601)
    with pytest.raises(Unauthenticated):
        world.identity.resolve(seats[0][1].token)


def test_seats_of_what_has_none_are_refused(world: World) -> None:
    with pytest.raises(NotFound):
        world.identity.issue_seats("nobody")
    with pytest.raises(Invalid):
        world.identity.issue_seats("genomics")


def test_a_tenant_that_ended_drops_out_of_every_token(world: World) -> None:
    both = world.identity.create("both", Role.MEMBER, ["genomics", "site"])
    alone = world.identity.create("alone", Role.MEMBER, ["genomics"])
    world.tenants["genomics"].expires_ns = world.clock.now_ns() + SECOND_NS
    world.clock.advance(2)
    assert world.identity.resolve(both.token).tenants == ("site",)
    with pytest.raises(Unauthenticated, match="genomics has expired"):
        world.identity.resolve(alone.token)


def test_a_ticket_opens_one_session_within_ten_minutes(world: World) -> None:
    mia = world.identity.resolve(world.identity.create("mia", Role.MEMBER, ["genomics"]).token)
    ticket = world.identity.login_ticket(mia)
    session = world.identity.redeem(ticket)
    assert world.identity.session(session) == mia
    with pytest.raises(Unauthenticated):
        world.identity.redeem(ticket)
    late = world.identity.login_ticket(mia)
    world.clock.advance(601)
    with pytest.raises(Unauthenticated):
        world.identity.redeem(late)


def test_a_session_lasts_twelve_hours_and_no_longer_than_logout(world: World) -> None:
    issued = world.identity.create("mia", Role.MEMBER, ["genomics"])
    session = world.identity.login(issued.token)
    world.clock.advance(12 * 3600 - 1)
    world.identity.session(session)
    world.clock.advance(4)
    with pytest.raises(Unauthenticated):
        world.identity.session(session)
    other = world.identity.login(issued.token)
    world.identity.session(other)
    world.identity.logout(other)
    with pytest.raises(Unauthenticated):
        world.identity.session(other)


def test_a_csrf_token_holds_for_its_session_alone(world: World) -> None:
    issued = world.identity.create("mia", Role.MEMBER, ["genomics"])
    one, two = world.identity.login(issued.token), world.identity.login(issued.token)
    assert world.identity.csrf_holds(one, world.identity.csrf(one))
    assert not world.identity.csrf_holds(two, world.identity.csrf(one))
    assert not world.identity.csrf_holds(one, "")
    assert not world.identity.csrf_holds(one, "é")


def test_tokens_hold_after_a_restart(world: World) -> None:
    issued = world.identity.create("mia", Role.MEMBER, ["genomics"])
    session = world.identity.login(issued.token)
    again = Identity(world.tables, world.clock, world.ledger, lambda: world.tenants)
    assert again.resolve(issued.token).name == "mia"
    assert again.session(session).name == "mia"


def test_limits_are_the_declared_ones(world: World) -> None:
    assert world.identity.limits("genomics") == "limits"
    assert world.identity.limits("nobody") is None
