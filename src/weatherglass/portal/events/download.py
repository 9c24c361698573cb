"""The events of a question as a file: CSV with the chosen columns, or JSON, one object a line; as it is read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from weatherglass.base.errors import Invalid
from weatherglass.base.time import iso
from weatherglass.portal.events.detail import value_of
from weatherglass.portal.events.question import Question, question
from weatherglass.portal.kit import Desk, Visit

AT_ONCE = 2000
AT_MOST = 200_000
FORMS = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}


def add(router: APIRouter, desk: Desk) -> None:
    @router.get("/events/download")
    def download(request: Request) -> Response:
        """The newest first, at most AT_MOST."""
        visit = desk.open(request)
        form = request.query_params.get("form", "csv")
        if form not in FORMS:
            raise Invalid(f"{form!r} is no form of a file", where="form", mend="csv or json")
        asked = question(visit, request.query_params)
        asked.filter(visit.now_ns)  # what is wrong is said before the file begins
        rows = _csv(visit, asked) if form == "csv" else _json(visit, asked)
        name = f"events-{iso(asked.end_ns)[:19].replace(':', '')}.{form}"
        return StreamingResponse(
            rows, media_type=FORMS[form], headers={"content-disposition": f'attachment; filename="{name}"'}
        )


def _events(visit: Visit, asked: Question) -> Iterator[list[Any]]:
    before, left = "", AT_MOST
    while left > 0:
        page = visit.rooms.logs.search(
            visit.lens.partition, start_ns=asked.start_ns, end_ns=asked.end_ns, limit=min(AT_ONCE, left),
            before=before, **asked.filters,
        )  # fmt: skip
        yield list(page.events)
        before, left = page.next, left - len(page.events)
        if not before:
            return


def _csv(visit: Visit, asked: Question) -> Iterator[str]:
    head = ("time", "level", *(name for name in asked.columns if name != "level"), "logger", "message")
    head = tuple(dict.fromkeys(head))
    out = io.StringIO()
    write = csv.writer(out)
    write.writerow(head)
    for events in _events(visit, asked):
        for event in events:
            own = {"time": iso(event.time_ns), "message": event.message or event.raw}
            write.writerow([_plain(own.get(name) or value_of(event, name)) for name in head])
        yield out.getvalue()
        out.seek(0)
        out.truncate()


def _plain(text: str) -> str:
    """As a spreadsheet may open it: what it would take for a formula is text."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _json(visit: Visit, asked: Question) -> Iterator[str]:
    for events in _events(visit, asked):
        yield "".join(
            json.dumps(
                {
                    "time": iso(one.time_ns), "level": one.level, "logger": one.logger, "message": one.message,
                    "labels": dict(one.labels), "fields": dict(one.fields), "raw": one.raw,
                }
            ) + "\n"
            for one in events
        )  # fmt: skip
