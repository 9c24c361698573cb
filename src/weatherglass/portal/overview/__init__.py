"""Overview: how the cloud is, what needs a person first, what the house did by itself. Also a tenant's own front page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.base.ids import kind_of, name_of
from weatherglass.base.time import SECOND_NS
from weatherglass.base.units import count
from weatherglass.portal import signals
from weatherglass.portal.charts import Chart
from weatherglass.portal.evidence import evidence_chart, sentence_of, tenant_sentence
from weatherglass.portal.kit import Desk, Page, Visit
from weatherglass.portal.proposals import Proposal, proposals
from weatherglass.portal.words import GRAVITY, Part, ago, begun, plural

FINDINGS_AT_MOST = 6
ROWS_AT_MOST = 60
DEEDS_AT_MOST = 8
DAY_NS = 86400 * SECOND_NS

HOUSE = ("house", "health", "reconciler", "deploy")
"""Names under which the house itself acts in the ledger."""


@dataclass(frozen=True)
class Finding:
    """One thing that needs a person: what, in which state, why, how far it reaches, and its clearest chart."""

    entity: str
    state: str
    said: list[Part]
    aside: str
    why: tuple[str, ...]
    chart: Chart | None
    incident: int
    weight: float
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True)
class ServiceRow:
    """A line of the table of services."""

    id: str
    state: str
    up: int
    replicas: int
    p95: float | None
    over: bool
    errors: float | None
    shape: list[float | None]
    since_ns: int
    because: str


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/")
    def overview(request: Request) -> Response:
        visit = desk.open(request)
        rows, hour_ago = services(visit), visit.now_ns - 3600 * SECOND_NS
        common: dict[str, Any] = {
            "current": PAGE.name,
            "services": rows[:ROWS_AT_MOST],
            "services_more": len(rows) - ROWS_AT_MOST,
            "lately": "hour" if visit.since(hour_ago) == hour_ago else ago(visit.began_ns, visit.now_ns),
        }
        if not visit.lens.operator:
            own = f"tenant/{visit.lens.tenant}"
            return visit.render(
                "overview/tenant.html",
                sentence=tenant_sentence(visit),
                own=own,
                incidents=visit.open_incidents[:20],
                charts=[
                    signals.chart(visit, p.title, p.unit, p.query, visit.since(hour_ago), visit.now_ns)
                    for p in signals.panels(own)
                ],
                live=("say", "mine", "services"),
                **common,
            )
        found = findings(visit)
        return visit.render(
            "overview/page.html",
            sentence=sentence_of(visit),
            worst=worst(visit),
            loop=loop(visit),
            findings=found[:FINDINGS_AT_MOST],
            findings_more=len(found) - FINDINGS_AT_MOST,
            deeds=deeds(visit),
            tenants=tenants(visit),
            live=("say", "loop", "needs", "deeds", "services", "tenants"),
            **common,
        )

    return router


def deeds(visit: Visit) -> list[Any]:
    """The newest entries of the ledger; an intent is left out once its outcome is told."""
    newest = visit.rooms.ledger.read(limit=DEEDS_AT_MOST * 3)
    told = {
        (e.what, e.entity, e.after.get("run"))
        for e in newest
        if isinstance(e.after, Mapping) and not begun(e)
    }
    return [e for e in newest if not (begun(e) and (e.what, e.entity, e.after.get("run")) in told)][
        :DEEDS_AT_MOST
    ]


def worst(visit: Visit) -> str:
    """The gravest state of anything; `unknown` alone is only fog when nothing is known at all."""
    states = Counter(visit.state(id) for id in visit.states)
    for state in ("dead", "dying", "sick"):
        if states[state]:
            return state
    return "healthy" if states["healthy"] else "unknown"


def loop(visit: Visit) -> list[tuple[str, str, str, str, str]]:
    """(stage, number, aside, address, class) for each stage, of real numbers alone."""
    rooms, site, web = visit.rooms, visit.rooms.site(), visit.web
    generations = sorted(rooms.deploy.generations(), key=lambda g: g.number)
    newest = generations[-1] if generations else None
    samples, events = rooms.metrics.stats(), rooms.logs.stats()
    states = Counter(visit.state(id) for id in visit.states)
    open_now = visit.open_incidents
    day = rooms.ledger.read(start_ns=visit.now_ns - DAY_NS, limit=1000)
    acts = [
        entry
        for entry in day
        if entry.who.split("/")[0] in HOUSE and not entry.what.startswith(("incident.", "token."))
    ]
    ill = states["sick"] + states["dying"] + states["dead"]
    return [
        (
            "Declared",
            plural(len(site.services) if site is not None else 0, "service"),
            f"{plural(len(web.of_kind.get('host', ())), 'host')}, {plural(len(web.of_kind.get('tenant', ())), 'tenant')}",
            visit.href("/map"),
            "",
        ),
        (
            "Deployed",
            f"generation {newest.number}" if newest else "nothing yet",
            f"{ago(newest.at_ns, visit.now_ns)} ago by {newest.who}" if newest else "weatherglass up SITE",
            visit.href("/deploy"),
            "",
        ),
        (
            "Observed",
            f"{count(samples.get('series', 0))} series",
            f"{count(events.get('events', 0))} events kept, lag {float(samples.get('lag_s', 0)):.1f} s",
            visit.href("/explore"),
            "",
        ),
        (
            "Diagnosed",
            plural(len(open_now), "incident"),
            f"{ill} ill, {plural(states['unknown'], 'unseen', 'unseen')}"
            if ill or states["unknown"]
            else ("all in sight and well" if states else "nothing to judge yet"),
            visit.href("/i/"),
            worst(visit) if open_now else "",
        ),
        (
            "Acted",
            f"{len(acts)} today",
            f"{plural(sum(e.who.split('/')[0] not in HOUSE for e in day if not begun(e)), 'deed')} by people"
            if day
            else "nothing needed doing",
            visit.href("/ledger"),
            "",
        ),
    ]


def findings(visit: Visit) -> list[Finding]:
    """What needs a person, gravest and widest first: each open incident once, then what is ill outside any."""
    told: set[str] = set()
    found: list[Finding] = []
    for incident in visit.open_incidents[:FINDINGS_AT_MOST]:
        cause = str(incident.cause) or str(next(iter(incident.affected), ""))
        if not cause:
            continue
        told |= {cause, *map(str, incident.affected)}
        state = visit.state(cause)
        found.append(
            Finding(
                cause,
                state if state != "healthy" else "sick",
                [p if isinstance(p, str) else (str(p[0]), p[1]) for p in incident.parts]
                or [incident.sentence],
                f"incident {incident.id}, {incident.kind}",
                _why(visit, cause, incident.opened_ns),
                _first_chart(visit, incident.evidence.get(cause, ()), state, incident.opened_ns),
                incident.id,
                1000.0 + GRAVITY[state],
                tuple(proposals(visit, incident)),
            )
        )
    ill = [
        (id, record)
        for id, record in visit.states.items()
        if visit.state(id) in ("sick", "dying", "dead") and id not in told and record.because not in told
    ]
    weighed = sorted(ill, key=lambda pair: -_weight(visit, pair[0]))
    for id, record in weighed[: FINDINGS_AT_MOST * 2]:
        texts = [e.text for e in record.evidence[:2]]
        found.append(
            Finding(
                id,
                visit.state(id),
                [" ".join(texts) or "No evidence was kept."],
                " · ".join(t for t in (kind_of(id), str(record.kind)) if t),
                _why(visit, id, record.since_ns),
                _first_chart(visit, record.evidence, visit.state(id), record.since_ns)
                if len(found) < FINDINGS_AT_MOST
                else None,
                0,
                _weight(visit, id),
            )
        )
    return sorted(found, key=lambda f: -f.weight)


def _weight(visit: Visit, entity: str) -> float:
    """Gravity first, then what hangs on it."""
    return GRAVITY[visit.state(entity)] * 10.0 + min(9.0, len(visit.web.dependants(entity)))


def _why(visit: Visit, entity: str, since_ns: int) -> tuple[str, ...]:
    blast = visit.web.blast(entity)
    hit = [plural(blast[kind], kind) for kind in ("service", "tenant") if blast.get(kind)]
    return (
        f"for {ago(since_ns, visit.now_ns)}",
        *((f"blast: {', '.join(hit)}",) if hit else ("nothing hangs on it",)),
    )


def _first_chart(visit: Visit, evidence: Any, state: str, since_ns: int) -> Chart | None:
    for item in evidence:
        if item.query:
            return evidence_chart(
                visit,
                item,
                state,
                visit.since(
                    max(
                        visit.now_ns - 6 * 3600 * SECOND_NS,
                        min(visit.now_ns - 900 * SECOND_NS, since_ns - 600 * SECOND_NS),
                    )
                ),
                visit.now_ns,
                since_ns,
            )
    return None


def services(visit: Visit) -> list[ServiceRow]:
    """Every service in sight, the worst first."""
    p95 = signals.by_label(visit, signals.SERVICE_P95, "service") if visit.lens.operator else {}
    errors = signals.by_label(visit, signals.SERVICE_ERRORS, "service") if visit.lens.operator else {}
    shapes = signals.shapes(visit, signals.SERVICE_TIMES, "service") if visit.lens.operator else {}
    site = visit.rooms.site()
    declared = site.services if site is not None else {}
    rows = []
    for id in visit.web.of_kind.get("service", ()):
        name, record = name_of(id), visit.states.get(id)
        replicas = [near for _, near in visit.web.depends_on(id) if kind_of(near) == "replica"]
        objective = getattr(declared.get(name), "objective", None)
        limit = getattr(objective, "p95_s", None)
        value = p95.get(name)
        rows.append(
            ServiceRow(
                id,
                visit.state(id),
                sum(visit.state(r) in ("healthy", "sick", "dying") for r in replicas),
                len(replicas),
                value,
                bool(limit and value is not None and value > limit),
                errors.get(name),
                shapes.get(name, []),
                record.since_ns if record is not None else 0,
                str(record.because) if record is not None else "",
            )
        )
    return sorted(rows, key=lambda row: (-GRAVITY[row.state], row.id))


def tenants(visit: Visit) -> list[tuple[str, str, str, str]]:
    """(entity, state, what it feels, what it may hold), worst first."""
    site = visit.rooms.site()
    declared = site.tenants if site is not None else {}
    rows = []
    for id in visit.web.of_kind.get("tenant", ()):
        record, limits = visit.states.get(id), getattr(declared.get(name_of(id)), "limits", None)
        feels = record.evidence[0].text if record is not None and record.evidence else "nothing amiss"
        holds = f"{count(limits.series)} series" if limits is not None and limits.series else "–"
        rows.append((id, visit.state(id), feels, holds))
    return sorted(rows, key=lambda row: (-GRAVITY[row[1]], row[0]))[:ROWS_AT_MOST]


PAGE = Page("Overview", "/", routes, icon="M4 12l8-7 8 7M6.5 10.5V19h11v-8.5", key="o", order=10)
