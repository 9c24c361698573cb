"""One event, all of it: its message as template and variables, its fields as links, the lines around it, where to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from weatherglass.base.errors import NotFound
from weatherglass.base.ids import KINDS
from weatherglass.base.time import SECOND_NS
from weatherglass.logs.fields import LABELS
from weatherglass.logs.frame import STAR
from weatherglass.portal.events.question import clause
from weatherglass.portal.kit import Visit

IDS = ("request_id", "global_request_id", "trace_id")
BEFORE_NS = 60 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Detail:
    """What the page shows of one event. `pieces`: (text, whether it is a variable) of its message."""

    event: Any
    cursor: str
    title: str
    template: str
    pieces: list[tuple[str, bool]]
    same: str
    labels: list[tuple[str, str, str]]
    fields: list[tuple[str, str, str]]
    requests: list[tuple[str, str]]
    incidents: list[Any]
    around: Sequence[tuple[Any, str]]


def detail(visit: Visit, cursor: str, around: int) -> Detail:
    """Raises NotFound, Invalid."""
    logs, partition = visit.rooms.logs, visit.lens.partition
    anatomy = logs.anatomy(partition, cursor)
    event = anatomy.event
    try:
        page = logs.surrounding(partition, cursor, around)
        near = list(zip(page.events, page.cursors, strict=True))
    except NotFound:  # retention may take it between two looks
        near = [(event, cursor)]
    return Detail(
        event,
        anatomy.cursor,
        headline(event),
        anatomy.template,
        pieces(anatomy.template, anatomy.variables),
        of_template(anatomy.template, event.logger) if anatomy.template else "",
        [(key, value, f"{key}/{value}" if key in KINDS else "") for key, value in event.labels if value],
        [(key, value, clause(key, value)) for key, value in event.fields.items() if value and key != "level"],
        [(name, event.fields[name]) for name in IDS if event.fields.get(name)],
        incidents_at(visit, event),
        near,
    )


def incidents_at(visit: Visit, event: Any) -> list[Any]:
    """The incidents during which it was written, by something that they touched."""
    own = {f"{key}/{value}" for key, value in event.labels}
    return [
        one
        for one in visit.rooms.inventory.incidents(limit=100)
        if visit.concerns(one)
        and one.opened_ns - BEFORE_NS <= event.time_ns <= (one.closed_ns or visit.now_ns)
        and own & set(map(str, one.affected))
    ]


def headline(event: Any) -> str:
    """What an event says, in a line: its message, a span's name, or the line itself."""
    text = event.message or event.fields.get("span_name", "") or event.raw
    return str(text).strip().split("\n", 1)[0]


def value_of(event: Any, column: str) -> str:
    """What stands in a column of the list."""
    if column in ("level", "logger"):
        return str(getattr(event, column))
    labels = dict(event.labels)
    if column in LABELS or column in labels:
        return str(labels.get(column, ""))
    return str(event.fields.get(column, ""))


def pieces(template: str, variables: Sequence[str]) -> list[tuple[str, bool]]:
    """A message parted into what its template fixes and what varies."""
    fixed = template.split(STAR)
    if len(fixed) != len(variables) + 1:
        return [(template, False)]
    out: list[tuple[str, bool]] = []
    for text, value in zip(fixed, [*variables, None], strict=True):
        if text:
            out.append((text, False))
        if value is not None:
            out.append((value, True))
    return out


def of_template(text: str, logger: str = "") -> str:
    """The query for the events of one template (of one logger)."""
    same = clause("template.keyword", text)
    return f"{same} AND {clause('logger', logger)}" if logger else same
