"""Entity: why it is in this state, what changed, what it hangs on, its logs, and what one may do about it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from weatherglass.base.errors import Conflict, Invalid, NotFound, WeatherglassError
from weatherglass.base.ids import KINDS, kind_of, name_of
from weatherglass.base.time import SECOND_NS
from weatherglass.portal import signals
from weatherglass.portal.events.detail import headline
from weatherglass.portal.evidence import evidence_chart, states_over
from weatherglass.portal.kit import Desk, Page, Visit, parse_span
from weatherglass.portal.layers import Layout, arrange
from weatherglass.portal.words import GRAVITY, pretty

NEAR_AT_MOST = 60
DRAWN_AT_MOST = 14


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/e/{kind}/{name:path}")
    def entity(request: Request, kind: str, name: str) -> Response:
        visit = desk.open(request)
        id = f"{kind}/{name}"
        found = visit.web.entities.get(id)
        if found is None or kind not in KINDS:
            raise NotFound(
                f"No entity is called {id}.", mend="search for it, or look at the map; names are kind/name"
            )
        range_text = request.query_params.get("range", "15m")
        seconds = parse_span(range_text, 900)
        end, start = visit.now_ns, visit.since(visit.now_ns - int(seconds * SECOND_NS))
        operator = visit.lens.operator
        record, state = visit.states.get(id), visit.state(id)
        evidence = record.evidence if record is not None else ()
        since = record.since_ns if record is not None else 0
        onset = since if state != "healthy" else 0
        charts = [
            evidence_chart(visit, e, state, start, end, onset) for e in evidence if e.query and operator
        ]
        drawn = {c.query for c in charts}
        charts += [
            signals.chart(
                visit,
                p.title,
                p.unit,
                p.query,
                start,
                end,
                marks=((onset / SECOND_NS, "onset"),) if onset else (),
            )
            for p in signals.panels(id)
            if p.query not in drawn and (operator or kind == "tenant")
        ]
        return visit.render(
            "entity/page.html",
            current="",
            id=id,
            kind=kind,
            name=name,
            entity=found,
            record=record,
            state=state,
            evidence=evidence if operator or kind == "tenant" else (),
            since_ns=since,
            charts=charts if operator or kind == "tenant" else [],
            range=range_text,
            below=near(visit, visit.web.depends_on(id)),
            above=near(visit, visit.web.dependants(id)),
            drawing=around(visit, id),
            timeline=states_over(visit.rooms.inventory.state_history(id, start, end), start, end),
            span=(start, end),
            changes=list(visit.rooms.ledger.read(entity=id, limit=12)) if operator else [],
            incidents=[
                i
                for i in visit.rooms.inventory.incidents(limit=100)
                if visit.concerns(i) and (id == str(i.cause) or id in map(str, i.affected))
            ][:8],
            events=events(visit, id, start, end) if operator else [],
            headline=headline,
            takes=takes_down(visit, id),
            may_act=visit.may("deploy.restart"),
            replicas=replicas(visit, id),
            live=("say", "state", "deps", "changes"),
        )

    @router.post("/e/replica/{name:path}/restart")
    def restart(
        request: Request, name: str, csrf: str = Form(""), confirm: str = Form(""), why: str = Form("")
    ) -> Response:
        visit = desk.open(request)
        visit.check_form(csrf)
        visit.allow("deploy.restart")
        id = f"replica/{name}"
        if id not in visit.web.entities:
            raise NotFound(f"No replica is called {name}.", mend="look at its service's page for the names")
        if confirm != name:
            raise Invalid("The name typed is not the replica's.", where="confirm", mend=f"type {name}")
        outcome = visit.rooms.deploy.restart(name, why or "asked for on its page", visit.principal.name)
        if not outcome.accepted:
            raise Conflict(outcome.reason or "The restart was refused.", where=id)
        return visit.redirect(f"/deploy/runs/{outcome.reference}" if outcome.reference else f"/e/{id}")

    return router


def near(visit: Visit, pairs: Any) -> list[tuple[str, str, str]]:
    """(entity, state, relation) of neighbours, the worst first; each entity once."""
    seen: dict[str, str] = {}
    for relation, id in pairs:
        seen.setdefault(id, relation)
    rows = [(id, visit.state(id), relation.replace("_", " ")) for id, relation in seen.items()]
    return sorted(rows, key=lambda row: (-GRAVITY[row[1]], row[0]))


def replicas(visit: Visit, id: str) -> list[str]:
    """The replicas that can be restarted from this page."""
    if kind_of(id) == "replica":
        return [name_of(id)]
    if kind_of(id) == "service":
        return [name_of(n) for _, n in visit.web.depends_on(id) if kind_of(n) == "replica"][:12]
    return []


def takes_down(visit: Visit, id: str) -> list[tuple[str, int]]:
    """(kind, how many) of what would feel this entity go, widest first."""
    return sorted(visit.web.blast(id).items(), key=lambda pair: -pair[1])


def events(visit: Visit, id: str, start_ns: int, end_ns: int) -> list[tuple[Any, str]]:
    """Its newest lines with their cursors; none where logs cannot be asked or the kind writes none."""
    if kind_of(id) not in ("host", "service", "replica"):
        return []
    try:
        page = visit.rooms.logs.search(
            visit.lens.partition, start_ns=start_ns, end_ns=end_ns, entity=id, limit=12
        )
    except WeatherglassError:
        return []
    return list(zip(page.events, page.cursors, strict=True))


def around(visit: Visit, id: str) -> tuple[Layout, dict[str, str]] | None:
    """What it hangs on, itself, and what hangs on it, drawn; the worst neighbours when there are many."""
    below = [row[0] for row in near(visit, visit.web.depends_on(id))][: DRAWN_AT_MOST // 2]
    above = [row[0] for row in near(visit, visit.web.dependants(id))][: DRAWN_AT_MOST // 2]
    if not below and not above:
        return None
    above = [n for n in above if n not in below]
    nodes = [*below, id, *above]
    labels = {n: pretty(n) for n in nodes}
    flows = [(n, id) for n in below] + [(id, n) for n in above]
    return arrange(nodes, flows, labels, height=30, gap_y=8), labels


PAGE = Page("Entity", "/e/", routes, order=200)
