"""What each role may do, as data. Pure; who somebody is belongs to `identity`, how it is asked to `gateway`.

The roles viewer < member < operator < admin are a ladder: a permission names the lowest rung. `agent` stands
beside it: an agent may do what AGENT_MAY lists, and nobody else may do what is marked AGENT.
"""

from __future__ import annotations

from weatherglass.base.errors import Denied
from weatherglass.base.ids import SITE_TENANT
from weatherglass.engine.protocols import Principal, Role

LADDER = {Role.VIEWER: 1, Role.MEMBER: 2, Role.OPERATOR: 3, Role.ADMIN: 4}

PERMISSIONS: dict[str, Role] = {
    # of a tenant's own
    "status.read": Role.VIEWER,
    "metrics.read": Role.VIEWER,
    "metrics.write": Role.MEMBER,
    "metrics.delete": Role.ADMIN,
    "logs.read": Role.VIEWER,
    "logs.write": Role.MEMBER,
    "entities.read": Role.VIEWER,
    "incidents.read": Role.VIEWER,
    # of the cloud: asked for tenant `site`
    "ledger.read": Role.VIEWER,
    "deploy.read": Role.VIEWER,
    "deploy.check": Role.MEMBER,
    "deploy.plan": Role.OPERATOR,
    "deploy.apply": Role.OPERATOR,
    "deploy.rollback": Role.OPERATOR,
    "deploy.restart": Role.OPERATOR,
    "action.ask": Role.OPERATOR,
    "remedy.approve": Role.OPERATOR,
    "settings.read": Role.VIEWER,
    "house.metrics": Role.VIEWER,
    "token.list": Role.ADMIN,
    "token.create": Role.ADMIN,
    "token.revoke": Role.ADMIN,
    "login.ticket": Role.VIEWER,
    "cloud.adopt": Role.ADMIN,
    "fault.inject": Role.ADMIN,
    "backup": Role.ADMIN,
    # of an agent's own
    "agent.heartbeat": Role.AGENT,
    "agent.events": Role.AGENT,
    "agent.work": Role.AGENT,
    "agent.secrets": Role.AGENT,
}

AGENT_MAY = frozenset({"metrics.write", "logs.write"}) | {
    action for action, role in PERMISSIONS.items() if role is Role.AGENT
}


def may(principal: Principal, action: str, tenant: str = SITE_TENANT) -> bool:
    """Whether `principal` may do `action` on what belongs to `tenant`."""
    needed = PERMISSIONS[action]
    if not principal.may_see(tenant):
        return False
    if principal.role is Role.AGENT:
        return action in AGENT_MAY
    return needed is not Role.AGENT and LADDER[principal.role] >= LADDER[needed]


def allow(principal: Principal, action: str, tenant: str = SITE_TENANT) -> None:
    """Raises Denied, saying what is needed, unless `may` holds."""
    if may(principal, action, tenant):
        return
    if not principal.may_see(tenant):
        raise Denied(
            f"{principal.name} may not see tenant {tenant}",
            where=action,
            mend=f"use a token that lists tenant {tenant}; it lists {', '.join(principal.tenants) or 'none'}",
        )
    needed = PERMISSIONS[action]
    article = "an" if needed[0] in "aeiou" else "a"
    above = "" if needed in (Role.AGENT, Role.ADMIN) else " or above"
    raise Denied(
        f"{principal.name} is {principal.role} and may not {action}",
        where=action,
        mend=f"use {article} {needed} token{above}",
    )
