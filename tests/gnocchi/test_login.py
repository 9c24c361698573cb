"""Who gets in to Gnocchi, by each way of logging in, and what pages of other origins are told."""

from __future__ import annotations

import httpx
import pytest
from conformance.serving import served

from weatherglass.engine.protocols import Role

CORS = {"Origin": "http://foobar.com"}


def status(port: int, path: str = "/v1/archive_policy", method: str = "GET", **headers: str) -> int:
    return httpx.request(method, f"http://127.0.0.1:{port}/gnocchi{path}", headers=headers).status_code


def test_tokens_of_the_house() -> None:
    with served(no_auth=False, gnocchi_auth="") as (port, admin, house):
        _, member = house.identity.create("ada", Role.MEMBER, ["climate"])
        _, other = house.identity.create("bob", Role.MEMBER, ["genomics"])
        url = f"http://127.0.0.1:{port}/gnocchi/v1"

        def asked(token: str, method: str, path: str, **more: object) -> httpx.Response:
            return httpx.request(method, url + path, headers={"Authorization": f"Bearer {token}"}, **more)

        assert status(port) == 401
        assert status(port, **{"X-Auth-Token": "wg_made_up"}) == 401
        assert status(port, "/healthcheck") == 200
        policy = {"name": "p", "definition": [{"granularity": 1}]}
        assert asked(member, "POST", "/archive_policy", json=policy).status_code == 403
        assert asked(admin, "POST", "/archive_policy", json=policy).status_code == 201
        made = asked(
            member, "POST", "/resource/generic",
            json={"id": "r", "project_id": "climate", "metrics": {"m": {"archive_policy_name": "p"}}},
        ).json()  # fmt: skip
        path = f"/metric/{made['metrics']['m']}/measures"
        assert asked(member, "POST", path, json=[{"timestamp": 1, "value": 2}]).status_code == 202
        assert asked(member, "GET", path).json() == [["1970-01-01T00:00:01+00:00", 1.0, 2.0]]
        assert asked(other, "GET", path).status_code == 403
        assert asked(other, "GET", "/resource/generic").json() == []
        assert asked(other, "GET", "/metric").json() == []
        assert len(asked(member, "GET", "/metric").json()) == 1
        # the measures lie in the partition of the token's tenant, where its owner's PromQL finds them
        assert [str(t) for t in house.rooms.metrics.tenants()] == ["climate"]


def test_remote_user() -> None:
    with served(no_auth=False, gnocchi_auth="remoteuser") as (port, _, _):
        assert status(port) == 401
        assert status(port, **{"X-Remote-User": "ada"}) == 200
        assert status(port, "/v1/status", **{"X-Remote-User": "ada"}) == 403
        assert status(port, "/v1/status", **{"X-Remote-User": "admin"}) == 200


@pytest.mark.parametrize("header", ["Basic !", "Basic /w==", "Bearer x", "basic"])
def test_basic_that_is_none(header: str) -> None:
    with served() as (port, _, _):
        assert status(port, Authorization=header) == 401


def test_pages_of_other_origins() -> None:
    with served() as (port, _, _):
        url = f"http://127.0.0.1:{port}/gnocchi/v1/archive_policy"
        auth = {"Authorization": "Basic YWRtaW46"}
        told = httpx.get(url, headers={**auth, **CORS})
        assert told.headers["Access-Control-Allow-Origin"] == "http://foobar.com"
        assert told.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        refused = httpx.get(url, headers={**auth, "Origin": "http://evil.org"})
        assert refused.status_code == 403
        assert "Access-Control-Allow-Origin" not in refused.headers


def test_the_rest_of_the_house_stays_closed() -> None:
    """Gnocchi's way in opens Gnocchi alone."""
    with served(no_auth=False, gnocchi_auth="basic") as (port, _, _):
        auth = {"Authorization": "Basic YWRtaW46"}
        assert status(port, **auth) == 200
        other = httpx.get(f"http://127.0.0.1:{port}/prometheus/api/v1/labels", headers=auth)
        assert other.status_code == 401
        near = httpx.get(f"http://127.0.0.1:{port}/gnocchix", headers=auth)
        assert near.status_code in (401, 404)
