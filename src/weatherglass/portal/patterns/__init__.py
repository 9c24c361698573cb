"""Templates: what kinds of lines there are. New since a deploy, bursting, rare; the course of each; two spans beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.base.ids import name_of
from weatherglass.base.time import SECOND_NS
from weatherglass.base.units import parse_duration
from weatherglass.logs.query import make_filter
from weatherglass.portal.events.detail import of_template, pieces
from weatherglass.portal.events.question import narrowed
from weatherglass.portal.kit import Desk, Page, Visit, parse_instant, parse_span
from weatherglass.portal.patterns.course import BUCKETS, bursting, shifted
from weatherglass.portal.words import clock

DAY_NS = 86_400 * SECOND_NS
ROWS = 200
RARE = 5
KINDS = {
    "all": "Every template",
    "new": "New",
    "bursting": "Bursting",
    "rare": "Rare",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One template as a row. `before`: how often in the span it is compared with, None where with none."""

    pieces: list[tuple[str, bool]]
    logger: str
    services: list[str]
    level: str
    count: int
    before: int | None
    course: list[int]
    surprise: float
    first_ns: int
    last_ns: int
    query: str


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/templates")
    def templates(request: Request) -> Response:
        visit = desk.open(request)
        asked = request.query_params
        given = {k: asked.get(k, "").strip() for k in ("q", "service", "level", "kind", "against", "since")}
        kind = given["kind"] or "all"
        if kind not in KINDS:
            raise Invalid(f"{kind!r} is no kind of templates", where="kind", mend=", ".join(KINDS))
        range_text = asked.get("range", "1h")
        end = visit.now_ns + SECOND_NS
        start = visit.since(end - int(parse_span(range_text, 3600) * SECOND_NS))
        since, since_said = newness(visit, given["since"])
        if kind == "new":
            start = since
        problem: WeatherglassError | None = None
        rows: list[Row] = []
        try:
            rows = listed(visit, kind, given, start, end, earlier(given["against"], end - start))
        except WeatherglassError as error:
            problem = error
        return visit.render(
            "patterns/page.html",
            current=PAGE.name,
            given=given,
            kind=kind,
            kinds=KINDS,
            range=range_text,
            span=(start, end),
            since=(since, since_said),
            rows=rows[:ROWS],
            more=max(0, len(rows) - ROWS),
            lines=sum(row.count for row in rows),
            problem=problem,
            narrowed=narrowed,
            services=sorted(name_of(id) for id in visit.web.of_kind.get("service", ())),
        )

    return router


def newness(visit: Visit, asked: str) -> tuple[int, str]:
    """Since when a template counts as new, and in words: the last deploy, a day, an instant."""
    if asked and asked not in ("24h", "deploy"):
        at = parse_instant(asked)
        return at, clock(at, visit.now_ns)
    latest = max(visit.rooms.deploy.generations(), key=lambda one: int(one.number), default=None)
    if asked != "24h" and latest is not None and visit.lens.operator:
        return int(latest.at_ns), f"generation {latest.number}"
    return visit.now_ns - DAY_NS, "24 h ago"


def earlier(asked: str, length_ns: int) -> int:
    """How much earlier the span lies that this one is compared with: `before` is the one just before. 0: none."""
    if not asked:
        return 0
    if asked == "before":
        return length_ns
    try:
        return int(parse_duration(asked) * SECOND_NS)
    except ValueError as error:
        raise Invalid(str(error), where="against", mend="before, 24h, 7d") from error


def listed(
    visit: Visit, kind: str, given: Mapping[str, str], start_ns: int, end_ns: int, shift_ns: int
) -> list[Row]:
    """The rows of a kind, what matters most first. Raises Invalid, Corrupt."""
    logs, partition = visit.rooms.logs, visit.lens.partition
    entity = f"service/{given['service']}" if given["service"] else ""
    filter = make_filter(query=given["q"], level=given["level"], entity=entity, now_ns=visit.now_ns)
    trends = logs.trends(partition, start_ns=start_ns, end_ns=end_ns, buckets=BUCKETS, filter=filter)
    trends = [one for one in trends if one.text]
    before: dict[tuple[str, str], int] | None = None
    gone: list[Any] = []
    if shift_ns:
        others = logs.trends(
            partition,
            start_ns=max(1, start_ns - shift_ns),
            end_ns=end_ns - shift_ns,
            buckets=1,
            filter=filter,
        )
        before = {(one.text, one.logger): one.count for one in others if one.text}
        here = {(one.text, one.logger) for one in trends}
        gone = [one for one in others if one.text and (one.text, one.logger) not in here]
    if kind == "new":
        known = {one.text for one in logs.new_templates(partition, start_ns)}
        trends = [one for one in trends if one.text in known]
    surprise = {id(one): bursting(one.counts) for one in trends}
    if kind == "bursting":
        trends = [one for one in trends if surprise[id(one)] >= 4]
        trends.sort(key=lambda one: -surprise[id(one)])
    elif kind == "rare":
        trends = [one for one in trends if one.count <= RARE]
        trends.sort(key=lambda one: (one.count, -one.last_ns))
    elif kind == "new":
        trends.sort(key=lambda one: -one.first_ns)
    elif before is not None:
        trends.sort(key=lambda one: -shifted(one.count, before.get((one.text, one.logger), 0)))
    rows = [
        _row(
            one,
            given["q"],
            None if before is None else before.get((one.text, one.logger), 0),
            surprise[id(one)],
        )
        for one in trends
    ]
    if kind == "all":
        rows += [_row(one, given["q"], one.count, 0.0, gone=True) for one in gone]
    return rows


def _row(one: Any, query: str, before: int | None, surprise: float, gone: bool = False) -> Row:
    gravest = next((level for level in ("CRITICAL", "ERROR", "WARNING") if one.levels.get(level)), "")
    level = gravest or next((name for name, _ in one.levels.most_common(1)), "")
    mine = of_template(one.text, one.logger)
    return Row(
        pieces(one.text, ["<*>"] * one.text.count("<*>")),
        one.logger,
        [name for name, _ in one.services.most_common(4) if name],
        level,
        0 if gone else one.count,
        before,
        [] if gone else list(one.counts),
        surprise,
        one.first_ns,
        one.last_ns,
        narrowed(query, f"({mine})") if query else mine,
    )


PAGE = Page(
    "Templates", "/templates", routes, icon="M4 6h10M4 12h16M4 18h7M17 6h3M14 18h6", key="p", order=42
)
