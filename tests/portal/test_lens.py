"""A tenant's lens shows what is theirs and nothing of anyone else, wherever they look."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal import fake_cloud
from portal.fake_cloud import FakeRooms
from portal.pages import OF_A_TENANT, PAGE, client, read

PEOPLE = {"greta": "genomics", "ivo": "imaging"}
TENANTS = ("genomics", "imaging", "resops-course")


WEB = fake_cloud.rich().inventory.graph()


def leaks(text: str, own: str, asked: str = "") -> list[str]:
    """Names that a member of `own` must not read: other tenants, hosts, replicas, what they do not use."""
    uses = {e.target for e in WEB.edges if e.source == f"tenant/{own}"}
    hidden = {
        e.name
        for e in WEB.entities.values()
        if e.kind in ("tenant", "host", "replica", "volume", "zone") and e.name != own
    }
    hidden |= {e.name for e in WEB.entities.values() if e.kind == "service" and e.id not in uses}
    return [
        name
        for name in hidden
        if name not in asked and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text)
    ]


@pytest.mark.parametrize("who", sorted(PEOPLE))
def test_a_member_reads_no_other_name(seen: FakeRooms, who: str) -> None:
    browser, own = client(seen, who), PEOPLE[who]
    todo, found = list(OF_A_TENANT), set(OF_A_TENANT)
    while todo:
        path = todo.pop(0)
        answer = browser.get(path, headers=PAGE)
        assert answer.status_code in (200, 403, 404), path
        # Their own tenant's partition is what events and metrics show; the fakes fill every partition alike.
        if not path.startswith(("/events", "/explore")):
            assert leaks(answer.text, own, asked=path) == [], path
        for tag, values in read(answer.text).tags:
            there = values.get("href", "").partition("#")[0]
            if tag == "a" and there.startswith("/") and there not in found and len(found) < 40:
                found.add(there)
                todo.append(there)
    assert len(found) > len(OF_A_TENANT)


@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    who=st.sampled_from(sorted(PEOPLE)),
    path=st.sampled_from(["/", "/map", "/i/", "/i/118", "/i/117", "/ledger", "/settings", "/search", "/search/quick", "/e/service/object-store", "/deploy", "/explore/names"]),
    query=st.dictionaries(
        st.sampled_from(["lens", "q", "at", "kind", "state", "page", "range", "end", "prefix", "toward"]),
        st.sampled_from(["operator", "*", "site", "a", "e", "s", "host", "tenant", "1", "0", "1h", "2026-11-22T13:00", "ill", "up", ""]),
        max_size=4,
    ),
)  # fmt: skip
def test_no_query_opens_what_is_hidden(seen: FakeRooms, who: str, path: str, query: dict[str, str]) -> None:
    answer = client(seen, who).get(path, params=query, headers=PAGE)
    assert answer.status_code in (200, 400, 403, 404)
    assert leaks(answer.text, PEOPLE[who]) == []


def test_a_lens_is_given_only_to_those_it_belongs_to(seen: FakeRooms) -> None:
    for lens in ("imaging", "operator", "site", "*", "nobody"):
        answer = client(seen, "greta").get(f"/?lens={lens}", headers=PAGE)
        assert answer.status_code == 403, lens
    for path in ("/deploy", "/deploy/plan", "/deploy/runs/62"):
        assert client(seen, "greta").get(path, headers=PAGE).status_code == 403
    assert client(seen, "greta").get("/?lens=genomics").status_code == 200


def test_an_operator_may_look_through_a_tenants_eyes(seen: FakeRooms) -> None:
    browser = client(seen)
    page = browser.get("/?lens=genomics").text
    assert "genomics is" in " ".join(read(page).text).replace("\n", "") or "genomics" in page
    assert leaks(re.sub(r'(?s)<details class="menu lens">.*?</details>', "", page), "genomics") == []
    assert 'href="/e/service/keystone?lens=genomics"' in page


def test_a_tenant_is_told_of_its_own_incidents_alone(seen: FakeRooms) -> None:
    greta = client(seen, "greta")
    assert greta.get("/i/118").status_code == 200 and greta.get("/i/117", headers=PAGE).status_code == 404
    assert client(seen, "ivo").get("/i/118", headers=PAGE).status_code == 404


def test_partitions_follow_the_lens(rich: FakeRooms) -> None:
    asked: list[str] = []
    search = rich.logs.search
    rich.logs.search = lambda tenant, **more: (asked.append(tenant), search(tenant, **more))[1]  # type: ignore[method-assign]
    client(rich, "greta").get("/events")
    client(rich, "mira").get("/events")
    client(rich, "mira").get("/events?lens=imaging")
    assert asked == ["genomics", "site", "imaging"]
