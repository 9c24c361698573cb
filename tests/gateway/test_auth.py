"""Who gets in, over HTTP: every route walked without a token, sessions, CSRF, other origins, headers."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import Route

from weatherglass.gateway import auth

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def walked(app: Any) -> list[tuple[str, str]]:
    """(method, path) of every route, with its parameters filled in."""
    found: list[tuple[str, str]] = []

    def walk(routes: Any) -> None:
        for route in routes:
            if isinstance(route, Route):
                path = route.path.replace("{id:path}", "host/x").replace("{id}", "1").replace("{name}", "x")
                found.extend((method, path) for method in sorted(route.methods or {"GET"}))
            elif hasattr(route, "routes") or hasattr(route, "original_router"):
                walk(getattr(route, "routes", None) or route.original_router.routes)

    walk(app.routes)
    return found


def test_the_walk_sees_the_whole_house(http: Any) -> None:
    paths = {path for _, path in walked(http.client.app)}
    for path in (
        "/api/v1/status",
        "/api/v1/live",
        "/prometheus/api/v1/write",
        "/api/v1/logs/search",
        "/-/metrics",
    ):
        assert path in paths
    assert len(paths) > 35


def test_every_route_but_the_public_ones_refuses_who_has_no_token(http: Any) -> None:
    for method, path in walked(http.client.app):
        if path in auth.PUBLIC or method == "OPTIONS":
            continue
        answer = http(method, path, role="")
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_every_route_refuses_a_wrong_token(http: Any) -> None:
    wrong = {"Authorization": "Bearer wg_0123456789ab_" + "A" * 43}
    for method, path in walked(http.client.app):
        if path not in auth.PUBLIC:
            assert http(method, path, role="", headers=wrong).status_code == 401, (method, path)


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/v1/nowhere", "/-/nowhere", "/loginx", "/statics", "/prometheus/"]
)
def test_even_what_is_not_there_is_not_told_to_strangers(http: Any, path: str) -> None:
    assert http("GET", path, role="").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/apply", {}),
        ("POST", "/api/v1/rollback", {}),
        ("POST", "/api/v1/plan", {}),
        ("POST", "/api/v1/restart", {"replica": "a.1@b", "why": "x"}),
        ("POST", "/api/v1/faults", {"host": "ctl-1", "fault": "kill"}),
        ("POST", "/api/v1/tokens", {"name": "x", "role": "admin", "tenants": ["*"]}),
        ("GET", "/api/v1/tokens", None),
        ("DELETE", "/api/v1/tokens/admin", None),
        ("GET", "/api/v1/backup", None),
    ],
)
def test_a_viewer_changes_nothing(http: Any, method: str, path: str, body: Any) -> None:
    answer = http(method, path, "viewer", json=body)
    assert answer.status_code == 403
    assert answer.json()["mend"].startswith("use a")
    assert http.rooms.work.items == []


def test_a_tenants_token_reads_nothing_of_the_site(http: Any) -> None:
    for path in (
        "/api/v1/ledger",
        "/api/v1/generations",
        "/api/v1/drift",
        "/-/metrics",
        "/api/v1/settings/cost",
    ):
        assert http("GET", path, "member").status_code == 403, path


def cookie(answer: Any) -> str:
    return answer.headers["set-cookie"].split(";")[0].split("=", 1)[1]


def login(http: Any, role: str = "operator", there: str = "/") -> Any:
    return http("POST", "/login", role="", data={"token": http.tokens[role], "next": there})


def test_a_token_opens_a_session_in_a_guarded_cookie(http: Any) -> None:
    answer = login(http, there="/map?focus=x")
    assert (answer.status_code, answer.headers["location"]) == (303, "/map?focus=x")
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said and "SameSite=strict" in said and "Path=/" in said
    assert http("GET", "/api/v1/me", role="").json()["name"] == "operator"
    http.client.cookies.clear()
    assert http("GET", "/api/v1/me", role="").status_code == 401


def test_a_wrong_token_goes_back_to_the_login_page(http: Any) -> None:
    answer = http("POST", "/login", role="", data={"token": "nonsense", "next": "/map"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?error=token&next=%2Fmap")
    assert "set-cookie" not in answer.headers
    assert login(http, "agent").headers["location"].startswith("/login?error=token")


@pytest.mark.parametrize(
    "there", ["//evil.example", "https://evil.example", "/\\evil.example", "/x\r\nSet-Cookie: a=b"]
)
def test_login_leads_nowhere_else(http: Any, there: str) -> None:
    assert login(http, there=there).headers["location"] == "/"


def test_a_ticket_works_once(http: Any) -> None:
    path = http("POST", "/api/v1/login-ticket", "viewer").json()["path"]
    first, second = http("GET", path, role=""), http("GET", path, role="")
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert cookie(first)
    assert second.headers["location"] == "/login?error=ticket"


def test_the_login_page_without_a_ticket_is_the_portals(http: Any) -> None:
    assert http("GET", "/login", role="").status_code in (404, 405)


def test_a_write_by_session_needs_the_sessions_csrf_token(http: Any) -> None:
    session = cookie(login(http))
    csrf = http.rooms.identity.csrf(session)
    body = {"token": "x"}
    assert http("POST", "/logout", role="").status_code == 403
    assert http("POST", "/logout", role="", headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    assert http("POST", "/logout", role="", data=body | {"csrf": "0" * 64}).status_code == 403
    assert http("GET", "/api/v1/me", role="").status_code == 200
    assert (
        http(
            "POST",
            "/api/v1/check",
            role="",
            json={"sources": {"site.yaml": "site: a"}},
            headers={"X-CSRF-Token": csrf},
        ).status_code
        == 200
    )
    assert http("POST", "/logout", role="", data=body | {"csrf": csrf}).status_code == 303
    http.client.cookies.set("wg_session", session)
    assert http("GET", "/api/v1/me", role="").status_code == 401


def test_a_form_that_carried_its_csrf_token_reaches_the_route_whole(http: Any) -> None:
    csrf = http.rooms.identity.csrf(cookie(login(http)))
    answer = http("POST", "/prometheus/api/v1/query", role="", data={"query": "up", "csrf": csrf})
    assert answer.status_code == 200
    assert http.rooms.metrics.asked[-1][1] == "up"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/login"), ("GET", "/api/v1/me"), ("POST", "/api/v1/check")]
)
def test_other_origins_are_refused(http: Any, headers: dict[str, str], method: str, path: str) -> None:
    assert http(method, path, headers=headers).status_code == 403


def test_a_link_from_elsewhere_may_be_followed(http: Any) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert http("GET", "/api/v1/me", headers=headers).status_code == 200
    assert http("GET", "/api/v1/me", headers={"Origin": "http://testserver"}).status_code == 200


def test_a_browser_without_a_session_is_shown_the_login_page(http: Any) -> None:
    html = {"Accept": "text/html,*/*"}
    answer = http("GET", "/map?focus=a%2Fb&x=1", role="", headers=html)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/login?next=%2Fmap%3Ffocus%3Da%252Fb%26x%3D1",
    )
    assert http("GET", "/api/v1/me", role="", headers=html).status_code == 401


def test_every_answer_carries_the_security_headers(http: Any) -> None:
    for role, path in (("", "/-/healthy"), ("", "/nowhere"), ("admin", "/nowhere"), ("admin", "/api/v1/me")):
        headers = http("GET", path, role).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


def test_no_answer_invites_another_origin(http: Any) -> None:
    answer = http("OPTIONS", "/api/v1/me", headers={"Access-Control-Request-Method": "GET"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
