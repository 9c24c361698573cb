"""Whatever rooms hand over, a page stays a page: text comes out as text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from portal.fake_cloud import NOW, FakeRooms
from portal.made_logs import REQUEST, TRACE, line
from portal.pages import EVERYWHERE, OF_THE_INSTITUTE, PAGE, client, read
from weatherglass.engine.protocols import Entry
from weatherglass.inventory.model import Evidence, Moment
from weatherglass.logs.documents import SPAN_FORM, Document

HOSTILE = """'"></script></svg><xss-tag onload=alert(1)>{{7777*7777}}${7777*7777}&lt;javascript:alert(1)"""


def poisoned(rooms: FakeRooms) -> FakeRooms:
    """The institute with the hostile text wherever text is free."""
    inventory: Any = rooms.inventory
    bad = Evidence("probe", HOSTILE, 1.0, 0.5, HOSTILE, 1, HOSTILE)
    for id, record in list(inventory._states.items()):
        inventory._states[id] = replace(record, evidence=(bad, *record.evidence), kind=HOSTILE)
    inventory._incidents = [
        replace(i, sentence=HOSTILE, parts=(HOSTILE, (i.cause, HOSTILE)), kind=HOSTILE, moments=(Moment(i.opened_ns, HOSTILE, HOSTILE, i.affected), *i.moments), evidence={i.cause: (bad,)}, remedies=({"action": HOSTILE, "entity": i.cause, HOSTILE: HOSTILE},))
        for i in inventory._incidents
    ]  # fmt: skip
    for id, entity in list(inventory._graph.entities.items()):
        inventory._graph.entities[id] = replace(
            entity, labels={"zone": HOSTILE}, attributes={HOSTILE: {"a": HOSTILE}}
        )
    rooms.health.sentence = lambda: (HOSTILE, ("service/keystone", HOSTILE))
    rooms.ledger.entries = [
        Entry(1, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, {"x": HOSTILE}, 1),
        *rooms.ledger.entries,
    ]
    rooms.logs.write_raw("site", [line(NOW - 1000, "ERROR", "keystone.api", HOSTILE, request=REQUEST)])
    hostile = {
        "message": HOSTILE,
        "request_id": REQUEST,
        HOSTILE: HOSTILE,
        "level": "ERROR",
        "logger": HOSTILE,
    }
    rooms.logs.write_documents(
        "site",
        [
            Document(json.dumps(hostile), NOW - 5000, NOW - 5000, (("service", HOSTILE), ("x", HOSTILE))),
            Document("{}", NOW, NOW - 9000, (), {"trace_id": TRACE, "span_name": HOSTILE, "duration_ns": 9}, form=SPAN_FORM),
        ],
    )  # fmt: skip
    series = rooms.metrics._series
    rooms.metrics._series = lambda m, w: [{**s, "vantage": HOSTILE} for s in series(m, w)]  # type: ignore[method-assign]
    rooms.metrics.label_values = lambda *a: [HOSTILE, "node_load1"]  # type: ignore[method-assign]
    rooms.metrics.metadata = lambda t: {"node_load1": {"help": HOSTILE, "type": HOSTILE}}  # type: ignore[method-assign]
    return rooms


def sound(text: str, path: str) -> None:
    page = read(text)
    assert page.wrong == [], path
    assert "xss-tag" not in {tag for tag, _ in page.tags}, path
    assert "60481729" not in text, path
    for _, values in page.tags:
        for name in ("href", "src", "action", "hx-get", "formaction"):
            assert not values.get(name, "").strip().lower().startswith("javascript:"), path


def test_hostile_text_comes_out_as_text(rich: FakeRooms) -> None:
    browser = client(poisoned(rich))
    seen = 0
    for path in EVERYWHERE + OF_THE_INSTITUTE:
        answer = browser.get(path, headers=PAGE)
        assert answer.status_code == 200, path
        sound(answer.text, path)
        seen += "&lt;xss-tag" in answer.text
    assert seen > 10


ASKED = {
    "/": ("lens",),
    "/map": ("lens", "q", "at", "focus", "kind", "state", "page", "toward"),
    "/explore": ("q", "range", "start", "end"),
    "/events": (
        "q",
        "words",
        "entity",
        "field",
        "level",
        "range",
        "start",
        "end",
        "around",
        "before",
        "columns",
        "follow",
    ),
    "/events/one": ("at", "part", "q"),
    "/events/words": ("q",),
    "/events/download": ("form", "q", "columns"),
    "/templates": ("q", "service", "level", "kind", "range", "against", "since"),
    "/request": ("id",),
    "/ledger": ("entity", "end"),
    "/search": ("q",),
    "/search/quick": ("q",),
    "/login": ("next", "error"),
    "/e/service/keystone": ("range", "lens"),
}
"""What each page reads from its address."""


@pytest.mark.parametrize("path", sorted(ASKED))
def test_hostile_addresses_are_echoed_as_text_or_refused(rich: FakeRooms, path: str) -> None:
    browser = client(rich)
    for name in ASKED[path]:
        answer = browser.get(path, params={name: HOSTILE}, headers=PAGE)
        assert answer.status_code in (200, 303, 400, 403, 404), (path, name)
        if answer.headers.get("content-type", "").startswith("text/html"):
            sound(answer.text, f"{path}?{name}")


def test_hostile_names_in_the_path(rich: FakeRooms) -> None:
    browser = client(rich)
    for path in (
        "/e/service/%3Cxss-tag%3E",
        "/i/%3Cxss-tag%3E",
        "/e/%3Cxss-tag%3E/x",
        "/deploy/runs/%3Cxss-tag%3E",
    ):
        answer = browser.get(path, headers=PAGE)
        assert answer.status_code == 404 and "<xss-tag" not in answer.text
