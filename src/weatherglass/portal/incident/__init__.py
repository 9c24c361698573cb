"""Incident: the story one can send to others (first sign, spread, cause, remedy, recovery) and the list of all."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from weatherglass.base.errors import Conflict, Invalid, NotFound
from weatherglass.base.ids import name_of
from weatherglass.base.time import SECOND_NS
from weatherglass.base.units import duration
from weatherglass.portal.charts import Chart
from weatherglass.portal.evidence import evidence_chart, tenant_incident_sentence
from weatherglass.portal.kit import Desk, Page, Visit
from weatherglass.portal.layers import Layout, arrange
from weatherglass.portal.proposals import proposals
from weatherglass.portal.words import Part, clock, plural, pretty, span

CHARTS_AT_MOST = 9
SPREAD_AT_MOST = 18
MARGIN_NS = (90 * SECOND_NS, 900 * SECOND_NS)
"""The least and the most that evidence is shown before an incident's first sign; as long as it lasted in between."""

TONES = {
    "first sign": "sick",
    "threat raised": "dying",
    "detected": "sick",
    "spread": "sick",
    "cause named": "accent",
    "remedy": "accent",
    "recovering": "accent",
    "recovered": "healthy",
    "closed": "healthy",
}
"""The colour of a moment by its title; any other is plain."""


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/i/")
    def every(request: Request) -> Response:
        visit = desk.open(request)
        found = [i for i in visit.rooms.inventory.incidents(limit=200) if visit.concerns(i)]
        return visit.render(
            "incident/list.html",
            current=PAGE.name,
            open=[(i, told(visit, i)) for i in found if i.state != "closed"],
            closed=[(i, told(visit, i)) for i in found if i.state == "closed"],
            live=("open", "closed"),
        )

    @router.get("/i/{number}")
    def one(request: Request, number: str) -> Response:
        visit = desk.open(request)
        missing = NotFound(f"There is no incident {number}.", mend="the list of incidents has every one")
        if not number.isdigit() or len(number) > 18:
            raise missing
        incident = visit.rooms.inventory.incident(int(number))
        if incident is None or not visit.concerns(incident):
            raise missing
        return visit.render(
            "incident/page.html",
            current=PAGE.name,
            incident=incident,
            sentence=told(visit, incident),
            state=worst(visit, incident),
            moments=moments(visit, incident),
            tones=TONES,
            spread=spread(visit, incident),
            felt=felt(visit, incident),
            charts=charts(visit, incident) if visit.lens.operator else [],
            facts=facts(visit, incident),
            remedies=remedies(incident) if visit.lens.operator else [],
            proposals=proposals(visit, incident),
            live=("say", "facts", "story", "spread", "remedies"),
        )

    @router.post("/i/{number}/approve")
    def approve(
        request: Request, number: str, csrf: str = Form(""), action: str = Form(""), confirm: str = Form("")
    ) -> Response:
        visit = desk.open(request)
        visit.check_form(csrf)
        visit.allow("remedy.approve")
        if not number.isdigit() or len(number) > 18:
            raise NotFound(f"There is no incident {number}.")
        proposed = next(
            (
                one
                for one in proposals(visit, visit.rooms.inventory.incident(int(number)))
                if one.remedy == action
            ),
            None,
        )
        if proposed is None:
            raise Conflict(
                f"{action or 'That'} is not proposed for incident {number} any more.",
                mend="look at the incident again",
            )
        if confirm != proposed.name:
            raise Invalid("The name typed is not the one.", where="confirm", mend=f"type {proposed.name}")
        outcome = visit.rooms.health.approve(int(number), action, visit.principal.name)
        if not outcome.accepted:
            raise Conflict(outcome.reason or "The remedy was refused.", where=proposed.entity)
        return visit.redirect(f"/i/{number}")

    return router


def told(visit: Visit, incident: Any) -> list[Part]:
    """The incident's sentence; for a tenant one composed of what it may know."""
    if not visit.lens.operator:
        return tenant_incident_sentence(visit, incident)
    return [p if isinstance(p, str) else (str(p[0]), str(p[1])) for p in incident.parts] or [
        incident.sentence
    ]


def worst(visit: Visit, incident: Any) -> str:
    """The weather over an incident: healthy when closed, else its cause's state (sick where that is not seen)."""
    if incident.state == "closed":
        return "healthy"
    state = visit.state(str(incident.cause))
    return state if state in ("sick", "dying", "dead") else "sick"


def moments(visit: Visit, incident: Any) -> list[tuple[int, str, str, list[str]]]:
    """(instant, title, text, entities) in order; a tenant gets no free text."""
    ordered = sorted(incident.moments, key=lambda m: m.at_ns)
    return [
        (
            m.at_ns,
            m.title,
            m.text if visit.lens.operator else "",
            [str(e) for e in m.entities if visit.sees(str(e))],
        )
        for m in ordered
    ]


def facts(visit: Visit, incident: Any) -> list[tuple[str, str, str]]:
    """(what, how long, aside): the delays one asks about first."""
    first = first_sign(incident)
    named = next((m.at_ns for m in incident.moments if "cause" in m.title.lower()), 0)
    end = incident.closed_ns or incident.healed_ns
    rows = [
        (
            "Detected",
            span(incident.detected_ns - first) if incident.detected_ns else "–",
            "after the first sign",
        ),
        ("Cause named", span(named - first) if named else "not yet", "after the first sign"),
        (
            "Healed",
            span(incident.healed_ns - first) if incident.healed_ns else "not yet",
            "after the first sign" if incident.healed_ns else f"for {span(visit.now_ns - first)} now",
        ),
        (
            "Lasted" if end else "Lasting",
            span((end or visit.now_ns) - incident.opened_ns),
            f"from {clock(incident.opened_ns, visit.now_ns)}"
            + (f" to {clock(end, visit.now_ns)}" if end else ""),
        ),
    ]
    if visit.lens.operator:
        rows.append(
            (
                "Felt by",
                plural(len(incident.tenants), "tenant"),
                f"{plural(len(incident.affected), 'entity', 'entities')} in all",
            )
        )
    return rows


def first_sign(incident: Any) -> int:
    """When it began, as far as is known."""
    known = [m.at_ns for m in incident.moments] + [incident.opened_ns, incident.onset_ns]
    return int(min(ns for ns in known if ns))


def charts(visit: Visit, incident: Any) -> list[Chart]:
    """Every piece of evidence that can be drawn, over the incident and a quarter of an hour before."""
    first, last = first_sign(incident), incident.closed_ns or visit.now_ns
    margin = max(MARGIN_NS[0], min(MARGIN_NS[1], last - first))
    start, end = min(first, visit.since(first - margin)), min(visit.now_ns, last + margin // 2)
    drawn: list[Chart] = []
    for id in [incident.cause, *(e for e in incident.affected if e != incident.cause)]:
        for item in incident.evidence.get(id, ()):
            if item.query and len(drawn) < CHARTS_AT_MOST:
                state = visit.state(str(id))
                drawn.append(
                    evidence_chart(
                        visit,
                        item,
                        state if state != "healthy" else "sick",
                        start,
                        end,
                        item.at_ns,
                        f"{name_of(str(id))}: {item.signal}",
                    )
                )
    return drawn


def remedies(incident: Any) -> list[tuple[int, str, str, str, str]]:
    """(instant, action, entity, run, what became of it) of each remedy that was tried."""
    rows = []
    for one in incident.remedies:
        told = [str(one[key]) for key in ("state", "outcome", "reason") if one.get(key)]
        if one.get("took_s"):
            told.append(f"took {duration(float(one['took_s']))}")
        if one.get("helped") is not None:
            told.append("it helped" if one["helped"] else "it did not help")
        if one.get("who"):
            told.append(f"by {one['who']}")
        action = str(one.get("remedy") or one.get("action") or "remedy")
        reference = str(one.get("reference", ""))
        run = reference if reference.isdigit() else ""
        rows.append(
            (
                int(one.get("asked_ns") or one.get("at_ns") or 0),
                action,
                str(one.get("entity", "")),
                run,
                ", ".join(told),
            )
        )
    return rows


def felt(visit: Visit, incident: Any) -> list[tuple[str, int, int]]:
    """(entity, onset, healed or 0) of what was affected, in order of onset."""
    end = incident.healed_ns or incident.closed_ns
    rows = []
    for id in dict.fromkeys(map(str, incident.affected)):
        onset, healed = incident.spans.get(id, (0, 0))
        if onset and visit.sees(id):
            rows.append((id, onset, healed or end))
    return sorted(rows, key=lambda row: row[1])


def spread(
    visit: Visit, incident: Any
) -> tuple[Layout, dict[str, str], set[tuple[str, str]], dict[str, str]] | None:
    """How the effect travelled: layout, labels, the flows it took, and a class for each box.

    Solid: from something affected to a dependant that felt it. Dashed: to one that did not.
    """
    cause = str(incident.cause)
    hit_in_order = [
        id
        for id in dict.fromkeys(
            [*([cause] if cause else []), *map(str, incident.affected), *map(str, incident.tenants)]
        )
        if visit.sees(id)
    ]
    if not hit_in_order:
        return None
    web, hit = visit.web, set(hit_in_order)
    spared = [
        other
        for id in hit_in_order
        for _, other in web.dependants(id)
        if other not in hit and not other.startswith(("replica/", "volume/"))
    ]
    nodes = (hit_in_order + list(dict.fromkeys(spared))[:3])[:SPREAD_AT_MOST]
    flows = [
        (id, other)
        for id in nodes
        if id in hit
        for other in dict.fromkeys(o for _, o in web.dependants(id))
        if other in nodes
    ]
    labels = {id: pretty(id) + (" · cause" if id == cause else "") for id in nodes}
    over = incident.state == "closed"
    look = {}
    for id in nodes:
        state = visit.state(id)
        mark = state if state in ("sick", "dying", "dead") else "sick"
        look[id] = (
            (("dead cause" if over else f"{mark} cause") if id == cause else mark) if id in hit else "spared"
        )
    taken = {(a, b) for a, b in flows if b in hit}
    return arrange(nodes, flows, labels), labels, taken, look


PAGE = Page(
    "Alerts",
    "/i/",
    routes,
    icon="M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20a2 2 0 0 0 4 0",
    key="a",
    order=60,
)
