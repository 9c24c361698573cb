"""One request across services: which events belong to it, and how they stand to one another in time. Pure but for reading.

A request is known by its request id; other services log their own id for it and the first one as the global request
id (oslo.context), and spans have a trace id. So the events of all ids that stand together with the one asked for are its events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weatherglass.engine.protocols import Event
from weatherglass.logs import filter as f
from weatherglass.logs.answers import View, find
from weatherglass.logs.sorting import Hit

IDS = ("request_id", "global_request_id", "trace_id")
MAX_IDS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One event of a waterfall. Times in ns; `offset_ns` from the beginning; `depth` how far it stands in (spans, then
    services in the order in which they were reached)."""

    event: Event
    cursor: str
    service: str
    request_id: str
    offset_ns: int
    duration_ns: int
    depth: int
    span: bool


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A request: its ids, its rows in order of time, services in the order in which they were reached."""

    ids: tuple[str, ...]
    rows: tuple[Row, ...]
    services: tuple[str, ...]
    start_ns: int
    end_ns: int
    errors: int
    truncated: bool


def follow(view: View, id: str, limit: int) -> Waterfall:
    """The waterfall of an id; empty where nothing has it."""
    ids: list[str] = [id]
    hits: Sequence[Hit] = ()
    total = 0
    for _ in range(4):
        asked = f.Or(tuple(f.Terms(name, tuple(ids)) for name in IDS))
        found, _ = find(view, asked, sort=(("@timestamp", False),), limit=limit)
        hits, total = found.hits, found.total
        more = {
            value
            for hit in hits
            for name in IDS
            if (value := hit.event.fields.get(name, "")) and value not in ids
        }
        if not more or len(ids) >= MAX_IDS:
            break
        ids += sorted(more)[: MAX_IDS - len(ids)]
    if not hits:
        return Waterfall(tuple(ids), (), (), 0, 0, 0, False)
    start = min(hit.event.time_ns for hit in hits)
    services = tuple(dict.fromkeys(service_of(hit.event) for hit in hits))
    depths = _depths([hit.event for hit in hits])
    rows = []
    for hit in hits:
        event = hit.event
        span = "duration_ns" in event.fields
        rows.append(
            Row(
                event,
                hit.cursor,
                service_of(event),
                event.fields.get("request_id", ""),
                event.time_ns - start,
                int(event.fields.get("duration_ns", 0)),
                depths.get(event.fields.get("span_id", ""), services.index(service_of(event))),
                span,
            )
        )
    end = max(row.event.time_ns + row.duration_ns for row in rows)
    errors = sum(row.event.level in ("ERROR", "CRITICAL") for row in rows)
    return Waterfall(tuple(ids), tuple(rows), services, start, end, errors, total > len(rows))


def service_of(event: Event) -> str:
    """The service that an event is of: its label, else the first part of its logger."""
    labels = dict(event.labels)
    return labels.get("service") or event.logger.partition(".")[0] or labels.get("host", "")


def _depths(events: Sequence[Event]) -> dict[str, int]:
    """Span id → how many spans it stands in."""
    parents = {
        event.fields["span_id"]: event.fields.get("parent_id", "")
        for event in events
        if event.fields.get("span_id") and "duration_ns" in event.fields
    }
    depths: dict[str, int] = {}
    for one in parents:
        depth, at, seen = 0, one, {one}
        while parents.get(at, "") in parents and parents[at] not in seen:
            at = parents[at]
            seen.add(at)
            depth += 1
        depths[one] = depth
    return depths
