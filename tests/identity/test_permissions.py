"""The permission table, walked whole."""

from __future__ import annotations

import pytest

from weatherglass.base.errors import Denied
from weatherglass.engine.protocols import Principal, Role
from weatherglass.identity import AGENT_MAY, PERMISSIONS, allow, may

LADDER = [Role.VIEWER, Role.MEMBER, Role.OPERATOR, Role.ADMIN]


def principal(role: Role, *tenants: str) -> Principal:
    return Principal("who", role, tenants or ("*",), "host/ctl-1" if role is Role.AGENT else "")


@pytest.mark.parametrize("action", PERMISSIONS)
def test_whoever_stands_higher_may_do_no_less(action: str) -> None:
    held = [may(principal(role), action) for role in LADDER]
    assert held == sorted(held)
    assert any(held) != (PERMISSIONS[action] is Role.AGENT)


@pytest.mark.parametrize("action", PERMISSIONS)
def test_an_agent_may_do_what_is_listed_and_nothing_else(action: str) -> None:
    assert may(principal(Role.AGENT), action) == (action in AGENT_MAY)


@pytest.mark.parametrize("action", PERMISSIONS)
@pytest.mark.parametrize("role", list(Role))
def test_nothing_may_be_done_in_another_tenant(action: str, role: Role) -> None:
    assert not may(principal(role, "genomics"), action, "physics")
    with pytest.raises(Denied, match="may not see tenant physics"):
        allow(principal(role, "genomics"), action, "physics")


def test_a_refusal_says_what_is_needed() -> None:
    with pytest.raises(Denied) as caught:
        allow(principal(Role.MEMBER), "deploy.apply")
    assert caught.value.where == "deploy.apply"
    assert caught.value.mend == "use an operator token or above"
