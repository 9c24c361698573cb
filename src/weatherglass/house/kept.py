"""What the declaration says of how long samples are kept, in the words of the metrics room."""

from __future__ import annotations

from typing import cast

from weatherglass.metrics import Matcher, Policy, Rollup
from weatherglass.metrics.types import MatchOp
from weatherglass.site import Site
from weatherglass.site.sections.metrics import Retention


def kept_for(site: Site | None, tenant: str) -> tuple[Policy, ...]:
    """A tenant's policies, the one of all other series last. Without a site that is declared, the store's own."""
    declared = site.sections.get("metrics") if site else None
    if not isinstance(declared, Retention):
        return ()
    policies = [
        Policy(
            policy.name,
            tuple(Matcher(name, cast(MatchOp, op), value) for name, op, value in policy.matchers),
            _ms(policy.keep_s),
            tuple(Rollup(round(one.every_s * 1000), one.methods, _ms(one.keep_s)) for one in policy.rollups),
        )
        for policy in declared.of(tenant)
    ]
    return (*policies, Policy("", (), _ms(declared.keep_s)))


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
