"""Completion of a query at its end: names of fields, and of a field the values that occur."""

from __future__ import annotations

import re
from typing import Any

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import SECOND_NS
from weatherglass.logs import aggs
from weatherglass.logs import filter as f
from weatherglass.logs.fields import LABELS
from weatherglass.portal.events.question import LEVELS, clause, escaped
from weatherglass.portal.kit import Visit

SPAN_NS = 24 * 3600 * SECOND_NS
AT_MOST = 30
OPERATORS = (("AND", "both"), ("OR", "either"), ("NOT", "not this"))
DOCS = {
    "level": "how grave",
    "logger": "which part of the program",
    "message": "what it says",
    "raw": "the whole line",
    "template.keyword": "the fixed words of the message, <*> for what varies",
    "request_id": "one request",
    "global_request_id": "the request that caused it",
    "trace_id": "one trace",
    "duration_ns": "how long a span took, ns",
    "exception": "the class of a traceback",
    "exception_message": "what the exception says",
    **dict.fromkeys(LABELS, "label of the house"),
}
HIDDEN = frozenset(("shape", "tail"))
_QUOTE = re.compile(r"\\.")
_END = re.compile(r'(?:(?P<field>(?:\\.|[\w.@-])+):)?(?P<quote>"?)(?P<word>[^\s"():]*)$')


def complete(visit: Visit, text: str) -> dict[str, Any]:
    """{"from": where the word begins, "words": [[what to write, what it means], …]} for the end of `text`."""
    end = _END.search(text)
    quoted = _QUOTE.sub("", text[: end.start("quote")] if end else text).count('"') % 2
    if end is None or quoted:
        return {"from": len(text), "words": []}
    word, field = end["word"], (end["field"] or "").replace("\\", "")
    try:
        if field:
            return {"from": end.start("quote"), "words": values(visit, field, word)}
        return {"from": end.start("word"), "words": [] if end["quote"] else names(visit, word)}
    except WeatherglassError:
        return {"from": len(text), "words": []}


def names(visit: Visit, word: str) -> list[list[str]]:
    """Fields whose names hold the word, those that begin with it first; operators where they fit."""
    wanted = word.casefold()
    here = visit.rooms.logs.fields(
        visit.lens.partition, start_ns=visit.now_ns - SPAN_NS, end_ns=visit.now_ns + SECOND_NS
    )
    told = {
        name: DOCS.get(name, ", ".join(sorted(kinds))) for name, kinds in here.items() if name not in HIDDEN
    }
    if "template" in told:
        del told["template"]
        told["template.keyword"] = DOCS["template.keyword"]
    fields = [name for name in told if wanted in name.casefold()]
    fields.sort(key=lambda name: (not name.casefold().startswith(wanted), name not in DOCS, name))
    operators = [[name + " ", doc] for name, doc in OPERATORS if word and name.startswith(word.upper())]
    return [*([[escaped(name) + ":", told[name]] for name in fields[:AT_MOST]]), *operators]


def values(visit: Visit, field: str, word: str) -> list[list[str]]:
    """The values of a field that begin with the word, the most frequent first."""
    if field in ("message", "raw", "tail", "@timestamp"):
        return []
    pattern = "(?i)" + re.escape(word) + ".*" if word else ""
    found = visit.rooms.logs.aggregate(
        visit.lens.partition,
        f.Exists(field.removesuffix(".keyword")),
        {"values": aggs.Terms(field, AT_MOST, include=pattern)},
        start_ns=visit.now_ns - SPAN_NS,
        end_ns=visit.now_ns + SECOND_NS,
    )["values"].buckets
    if field == "level":
        found = sorted(found, key=lambda one: -LEVELS.index(one.key) if one.key in LEVELS else 1)
    return [[clause("x", str(one.key)).removeprefix("x:") + " ", f"{one.count} events"] for one in found]
