"""The parts of a request: its spans and, where a service wrote lines alone, the stretch of its lines. Pure.

A part's own time is what none of the parts it asked was at work in: it tells which service took how long.
A stretch of lines belongs to whom its global request id names (oslo.context: the id of the request that asked).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from weatherglass.logs.requests import Row, Waterfall

ERRORS = ("ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Part:
    """One bar of a waterfall. Times in ns, `offset_ns` from the request's beginning; `ticks`: its lines' (offset_ns, level)."""

    name: str
    service: str
    id: str
    parent: str
    offset_ns: int
    duration_ns: int
    own_ns: int
    depth: int
    span: bool
    errors: int
    ticks: tuple[tuple[int, str], ...]
    cursor: str

    @property
    def end_ns(self) -> int:
        return self.offset_ns + self.duration_ns


def parts_of(waterfall: Waterfall) -> tuple[Part, ...]:
    """Every part, whoever asked before whom was asked, in the order of their beginnings."""
    spans = {row.event.fields.get("span_id", "") or row.cursor: row for row in waterfall.rows if row.span}
    ticks: dict[str, list[Row]] = {id_: [] for id_ in spans}
    stretches: dict[str, list[Row]] = {}
    for row in waterfall.rows:
        if row.span:
            continue
        own = row.event.fields.get("span_id", "")
        if own in ticks:
            ticks[own].append(row)
        else:
            stretches.setdefault(f"{row.service}\n{row.request_id}", []).append(row)
    found = {id_: _span(id_, row, ticks[id_]) for id_, row in spans.items()}
    owners: dict[str, str] = {}
    for key, rows in stretches.items():
        if rows[0].request_id:
            owners.setdefault(rows[0].request_id, key)
    for key, rows in stretches.items():
        asked_by = next((g for row in rows if (g := row.event.fields.get("global_request_id", ""))), "")
        parent = owners.get(asked_by, "") if asked_by != rows[0].request_id else ""
        found[key] = _stretch(key, rows, parent if parent != key else "")
    return _ordered(found)


def by_service(parts: Sequence[Part]) -> list[tuple[str, int, int, int]]:
    """(service, own ns, parts, errors), the longest first."""
    told: dict[str, list[int]] = {}
    for one in parts:
        row = told.setdefault(one.service, [0, 0, 0])
        row[0], row[1], row[2] = row[0] + one.own_ns, row[1] + 1, row[2] + one.errors
    return sorted(((name, *row) for name, row in told.items()), key=lambda one: (-one[1], one[0]))  # type: ignore[misc]


def failed_first(parts: Sequence[Part]) -> Part | None:
    """Where an error was first told; a span that failed without a line tells it at its end."""

    def when(one: Part) -> int:
        return min((ns for ns, level in one.ticks if level in ERRORS), default=one.end_ns)

    return min((one for one in parts if one.errors), key=when, default=None)


def covered(intervals: Iterable[tuple[int, int]], within: tuple[int, int]) -> int:
    """How much of `within` lies in at least one of the intervals."""
    total, at = 0, within[0]
    for begin, end in sorted(intervals):
        begin, end = max(begin, at), min(end, within[1])
        if end > begin:
            total, at = total + end - begin, end
    return total


def _errors(rows: Iterable[Row]) -> int:
    return sum(row.event.level in ERRORS for row in rows)


def _ticks(rows: Iterable[Row]) -> tuple[tuple[int, str], ...]:
    return tuple((row.offset_ns, row.event.level) for row in rows)


def _span(id_: str, row: Row, lines: Sequence[Row]) -> Part:
    fields = row.event.fields
    failed = fields.get("status", "") == "error" or row.event.level in ERRORS
    return Part(
        fields.get("span_name") or row.event.message or id_, row.service, id_, fields.get("parent_id", ""),
        row.offset_ns, row.duration_ns, row.duration_ns, 0, True, failed + _errors(lines), _ticks(lines), row.cursor,
    )  # fmt: skip


def _stretch(key: str, rows: Sequence[Row], parent: str) -> Part:
    begin, end = min(row.offset_ns for row in rows), max(row.offset_ns for row in rows)
    return Part(
        rows[0].event.message or f"lines of {rows[0].service}", rows[0].service, key, parent, begin, end - begin,
        end - begin, 0, False, _errors(rows), _ticks(rows), rows[0].cursor,
    )  # fmt: skip


def _ordered(found: dict[str, Part]) -> tuple[Part, ...]:
    """Parents before their children, each with how deep it stands and its own time; a ring is cut open."""
    children: dict[str, list[str]] = {}
    for id_, one in found.items():
        children.setdefault(one.parent if one.parent in found else "", []).append(id_)
    for ids in children.values():
        ids.sort(key=lambda id_: (found[id_].offset_ns, -found[id_].duration_ns, id_))
    out: list[Part] = []
    done: set[str] = set()
    rings = sorted(found, key=lambda id_: (found[id_].offset_ns, id_))
    todo = [(id_, 0) for id_ in reversed(children.get("", []))]
    while todo or len(done) < len(found):
        if not todo:
            todo = [(next(id_ for id_ in rings if id_ not in done), 0)]
        id_, depth = todo.pop()
        if id_ in done:
            continue
        done.add(id_)
        one = found[id_]
        inner = [found[child] for child in children.get(id_, ()) if child != id_]
        span = (one.offset_ns, one.end_ns)
        own = one.duration_ns - covered(((c.offset_ns, c.end_ns) for c in inner), span)
        out.append(replace(one, depth=depth, own_ns=own))
        todo += [(child, depth + 1) for child in reversed(children.get(id_, ())) if child not in done]
    return tuple(out)
