"""What pages do: only with a token of the form, only by those who may, only when the name was typed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portal import fake_cloud
from portal.fake_cloud import FakeRooms
from portal.pages import PAGE, client, read

RESTART = "/e/replica/mariadb.1@ctl-2/restart"
NAME = "mariadb.1@ctl-2"


def test_a_restart_is_asked_of_deploy(rich: FakeRooms) -> None:
    form = {"csrf": "csrf-of-mira", "confirm": NAME, "why": "it hangs"}
    answer = client(rich).post(RESTART, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/deploy/runs/62")
    assert rich.deploy.asked == [("restart", NAME, "it hangs", "mira")]


@pytest.mark.parametrize(
    ("who", "form", "status"),
    [
        ("mira", {"csrf": "csrf-of-mira", "confirm": "mariadb", "why": "x"}, 400),
        ("mira", {"confirm": NAME, "why": "x"}, 403),
        ("mira", {"csrf": "csrf-of-noor", "confirm": NAME, "why": "x"}, 403),
        ("noor", {"csrf": "csrf-of-noor", "confirm": NAME, "why": "x"}, 403),
        ("greta", {"csrf": "csrf-of-greta", "confirm": NAME, "why": "x"}, 403),
    ],
)
def test_a_restart_is_refused(rich: FakeRooms, who: str, form: dict[str, str], status: int) -> None:
    answer = client(rich, who).post(RESTART, data=form, headers=PAGE)
    assert answer.status_code == status
    assert rich.deploy.asked == []


@pytest.mark.parametrize(
    "path",
    [
        RESTART,
        "/deploy/apply",
        "/deploy/rollback",
        "/settings/tokens",
        "/settings/tokens/revoke",
        "/i/118/approve",
    ],
)
def test_nothing_is_done_without_a_token_of_the_form(rich: FakeRooms, path: str) -> None:
    form = {
        "confirm": NAME,
        "to": "40",
        "why": "x",
        "name": "a",
        "role": "member",
        "tenants": "genomics",
        "id": "2b",
    }
    assert client(rich).post(path, data=form, headers=PAGE).status_code == 403
    assert client(rich, who="").post(path, data=form, headers=PAGE).status_code in (401, 403)
    assert rich.deploy.asked == [] and rich.identity.made == [] and rich.identity.revoked == []


def test_going_back_and_applying(rich: FakeRooms) -> None:
    browser, csrf = client(rich), "csrf-of-mira"
    assert (
        browser.post(
            "/deploy/rollback", data={"csrf": csrf, "to": "40", "confirm": "40", "why": "x"}
        ).status_code
        == 400
    )
    assert (
        browser.post(
            "/deploy/rollback", data={"csrf": csrf, "to": "7", "confirm": "generation 7"}
        ).status_code
        == 409
    )
    done = browser.post(
        "/deploy/rollback", data={"csrf": csrf, "to": "40", "confirm": "generation 40", "why": "slow"}
    )
    assert done.headers["location"] == "/deploy/runs/62"
    browser.post("/deploy/apply", data={"csrf": csrf, "confirm": "aurora", "why": "new"})
    assert rich.deploy.asked == [("rollback", "40", "slow", "mira"), ("apply", "new", "mira")]


def test_a_token_is_shown_once_and_revoked_by_name(rich: FakeRooms) -> None:
    browser, csrf = client(rich), "csrf-of-mira"
    made = browser.post(
        "/settings/tokens",
        data={
            "csrf": csrf,
            "name": "lab",
            "role": "member",
            "tenants": "genomics",
            "ttl": "30d",
            "why": "lab",
        },
    )
    assert made.status_code == 200 and "wg_8f2c1a_made-up-secret" in made.text and read(made.text).wrong == []
    assert "made-up-secret" not in browser.get("/settings").text
    for wrong in ({"role": "agent"}, {"ttl": "soon"}, {"role": "king"}):
        form = {"csrf": csrf, "name": "x", "role": "member", "tenants": "genomics", **wrong}
        assert browser.post("/settings/tokens", data=form, headers=PAGE).status_code == 400
    assert (
        browser.post(
            "/settings/tokens/revoke", data={"csrf": csrf, "id": "2b", "confirm": "mira"}
        ).status_code
        == 400
    )
    browser.post("/settings/tokens/revoke", data={"csrf": csrf, "id": "2b", "confirm": "noor", "why": "gone"})
    assert rich.identity.revoked == ["2b"]


@pytest.fixture
def proposed(rich: FakeRooms) -> FakeRooms:
    """The institute when the database's restart waits for a yes."""
    waits = {
        "remedy": "restart", "action": "deploy.restart", "entity": f"replica/{NAME}", "asked_ns": fake_cloud.NOW,
        "state": "proposed", "reason": "the site wants a yes before restart", "took_s": 0.0, "who": "health",
    }  # fmt: skip
    rich.inventory._incidents[:] = [replace(fake_cloud.INCIDENT, remedies=(waits,)), fake_cloud.CLOSED]
    return rich


APPROVE = "/i/118/approve"


@pytest.mark.parametrize("path", ["/", "/i/118"])
def test_a_proposed_remedy_says_what_it_takes_down(proposed: FakeRooms, path: str) -> None:
    page = read(client(proposed).get(path).text)
    assert page.wrong == []
    forms = [v for tag, v in page.tags if tag == "form" and v.get("action") == APPROVE]
    text = " ".join("".join(page.text).split())
    assert len(forms) == 1 and f"Stops {NAME} and starts it again. While it is away," in text
    assert "It waits because the site wants a yes before restart." in text
    for who in ("noor", "greta"):
        seen = read(client(proposed, who).get(path).text)
        assert not [v for tag, v in seen.tags if v.get("action") == APPROVE], who


def test_a_proposed_remedy_is_approved(proposed: FakeRooms) -> None:
    form = {"csrf": "csrf-of-mira", "action": "restart", "confirm": NAME}
    answer = client(proposed).post(APPROVE, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/i/118")
    assert proposed.health.approved == [(118, "restart", "mira")]


@pytest.mark.parametrize(
    ("who", "form", "status"),
    [
        ("mira", {"csrf": "csrf-of-mira", "action": "restart", "confirm": "mariadb"}, 400),
        ("mira", {"csrf": "csrf-of-mira", "action": "fence", "confirm": NAME}, 409),
        ("mira", {"action": "restart", "confirm": NAME}, 403),
        ("noor", {"csrf": "csrf-of-noor", "action": "restart", "confirm": NAME}, 403),
        ("greta", {"csrf": "csrf-of-greta", "action": "restart", "confirm": NAME}, 403),
    ],
)
def test_an_approval_is_refused(proposed: FakeRooms, who: str, form: dict[str, str], status: int) -> None:
    assert client(proposed, who).post(APPROVE, data=form, headers=PAGE).status_code == status
    assert proposed.health.approved == []


@pytest.mark.parametrize("number", ["117", "9", "x", "9" * 30])
def test_nothing_is_approved_where_nothing_is_proposed(proposed: FakeRooms, number: str) -> None:
    form = {"csrf": "csrf-of-mira", "action": "restart", "confirm": NAME}
    answer = client(proposed).post(f"/i/{number}/approve", data=form, headers=PAGE)
    assert answer.status_code in (404, 409) and proposed.health.approved == []


def test_a_viewer_sees_no_buttons_that_would_refuse(rich: FakeRooms) -> None:
    browser = client(rich, "noor")
    for path in ("/e/replica/mariadb.1@ctl-2", "/deploy", "/settings"):
        forms = [
            v for tag, v in read(browser.get(path).text).tags if tag == "form" and v.get("method") == "post"
        ]
        assert [v["action"] for v in forms] == ["/logout"], path
