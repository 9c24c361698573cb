"""Events: what the cloud wrote. Search by words, level, entity and field, with when, how much, and the whole text."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.ids import name_of
from weatherglass.base.time import SECOND_NS, iso
from weatherglass.portal.kit import Desk, Page, Visit, parse_instant, parse_span

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
PER_PAGE = 100
BUCKETS = 72
AROUND_NS = 15 * SECOND_NS


def routes(desk: Desk) -> APIRouter:
    router = desk.routed()

    @router.get("/events")
    def events(request: Request) -> Response:
        visit = desk.open(request)
        asked = request.query_params
        range_text, around = asked.get("range", "1h"), parse_instant(asked.get("around", ""))
        end = parse_instant(asked.get("end", "")) or visit.now_ns
        start = parse_instant(asked.get("start", ""))
        if around:
            start, end = around - AROUND_NS, around + AROUND_NS
        elif not 0 < start < end:
            start = trimmed(visit, end - int(parse_span(range_text, 3600) * SECOND_NS), end)
        filters = chosen(asked)
        problem: WeatherglassError | None = None
        page: Any = None
        bars: list[tuple[int, int, dict[str, int]]] = []
        by_service: dict[str, int] = {}
        logs, partition = visit.rooms.logs, visit.lens.partition
        try:
            page = logs.search(
                partition,
                start_ns=start,
                end_ns=end,
                limit=PER_PAGE,
                before=asked.get("before", ""),
                **filters,
            )
            counted = logs.histogram(partition, start_ns=start, end_ns=end, buckets=BUCKETS, **filters)
            width = max(1, (end - start) // BUCKETS)
            bars = [(at, at + width, dict(levels)) for at, levels in counted]
            by_service = dict(logs.error_counts(partition, start, end, by="service"))
        except WeatherglassError as error:
            problem = error
        return visit.render(
            "events/page.html",
            current=PAGE.name,
            asked={k: asked.get(k, "") for k in ("words", "level", "entity", "field")},
            range="" if asked.get("start") or around else range_text,
            span=(start, end),
            around=around,
            page=page,
            problem=problem,
            bars=histogram(bars),
            levels=LEVELS,
            by_level={level: sum(found.get(level, 0) for _, _, found in bars) for level in LEVELS},
            total=sum(sum(found.values()) for _, _, found in bars),
            services=services(visit, by_service),
            filtered=bool(any(filters.values())),
            iso=iso,
        )

    return router


def trimmed(visit: Visit, start_ns: int, end_ns: int) -> int:
    """The start of a span, later by the stretch before the house began where no event lies in it."""
    began = visit.since(start_ns)
    if not start_ns < began < end_ns:
        return start_ns
    try:
        counted = visit.rooms.logs.histogram(visit.lens.partition, start_ns=start_ns, end_ns=began, buckets=1)
    except WeatherglassError:
        return start_ns
    return start_ns if any(sum(levels.values()) for _, levels in counted) else began


def chosen(asked: Any) -> dict[str, Any]:
    """The filters of an address as logs takes them. `field` is `name=value`, several with commas."""
    fields = dict(
        pair.split("=", 1) for pair in asked.get("field", "").split(",") if "=" in pair and pair[0] != "="
    )
    entity = asked.get("entity", "").strip()
    if entity and "/" not in entity:
        entity = f"service/{entity}"
    return {
        "words": asked.get("words", "").strip(),
        "level": asked.get("level", "").strip(),
        "entity": entity,
        "fields": {k.strip(): v.strip() for k, v in fields.items()},
    }


def histogram(
    bars: list[tuple[int, int, dict[str, int]]],
) -> list[tuple[int, int, int, str, list[tuple[str, float, float]]]]:
    """(from, to, how many, in words, (level, y, height) of each part from the floor up), in a frame 100 high."""
    most = max((sum(found.values()) for _, _, found in bars), default=0) or 1
    drawn = []
    for begin, finish, found in bars:
        floor, parts = 100.0, []
        for level in (*LEVELS, ""):
            if found.get(level):
                height = found[level] / most * 100
                floor -= height
                parts.append((level.lower() or "plain", round(floor, 2), round(height, 2)))
        said = ", ".join(f"{n} {level.lower() or 'without level'}" for level, n in found.items() if n)
        drawn.append((begin, finish, sum(found.values()), said, parts))
    return drawn


def services(visit: Visit, errors: dict[str, int]) -> list[tuple[str, int]]:
    """Services to narrow down to, those with errors first."""
    known = [name_of(id) for id in visit.web.of_kind.get("service", ())]
    names = sorted({*known, *(name for name in errors if name)}, key=lambda n: (-errors.get(n, 0), n))
    return [(name, errors.get(name, 0)) for name in names[:14]]


PAGE = Page("Events", "/events", routes, icon="M5 6h14M5 10h14M5 14h9M5 18h6", key="e", order=40)
