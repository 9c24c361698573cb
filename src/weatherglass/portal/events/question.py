"""What an address asks of the events: the words, the span, the filters, the columns; and how it is narrowed. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.base.time import SECOND_NS
from weatherglass.logs import filter as f
from weatherglass.logs.lucene import parse
from weatherglass.logs.query import make_filter
from weatherglass.portal.kit import Visit, parse_instant, parse_span

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
COLUMNS = ("service",)
COLUMNS_AT_MOST = 5
AROUND_NS = 15 * SECOND_NS
LASTING = ("q", "level", "entity", "words", "field", "columns", "range", "start", "end")
"""What makes a question; where one stands in its answer (before, around, follow) is left out."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `given`: the address' own texts; `filters`: as `Logs.search` takes them."""

    given: Mapping[str, str]
    start_ns: int
    end_ns: int
    around_ns: int
    range: str
    columns: tuple[str, ...]
    filters: Mapping[str, Any]

    @property
    def filtered(self) -> bool:
        return any(self.filters.values())

    def filter(self, now_ns: int) -> f.Filter:
        """As a tree. Raises Invalid."""
        return make_filter(start_ns=self.start_ns, end_ns=self.end_ns, now_ns=now_ns, **self.filters)

    def chips(self) -> list[tuple[str, str]]:
        """(what, value) of the filters beside the query, each to be taken away."""
        return [(name, self.given[name]) for name in ("entity", "words", "field") if self.given.get(name)]


def question(visit: Visit, asked: Mapping[str, str]) -> Question:
    """Reads an address. Raises Invalid."""
    given = {name: asked.get(name, "").strip() for name in LASTING}
    range_text, around = given["range"] or "1h", parse_instant(asked.get("around", ""))
    end = parse_instant(given["end"]) or visit.now_ns + SECOND_NS
    start = parse_instant(given["start"])
    ranged = not (given["start"] or around)
    if around:
        start, end = around - AROUND_NS, around + AROUND_NS
    elif not 0 < start < end:
        start = trimmed(visit, end - int(parse_span(range_text, 3600) * SECOND_NS), end)
    columns = tuple(dict.fromkeys(name for one in given["columns"].split(",") if (name := one.strip()[:80])))
    return Question(
        given, start, end, around, range_text if ranged else "", (columns or COLUMNS)[:COLUMNS_AT_MOST], chosen(given)
    )  # fmt: skip


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


def chosen(given: Mapping[str, str]) -> dict[str, Any]:
    """The filters of an address as logs takes them. `field` is `name=value`, several with commas."""
    fields = dict(
        pair.split("=", 1) for pair in given.get("field", "").split(",") if "=" in pair and pair[0] != "="
    )
    entity = given.get("entity", "").strip()
    if entity and "/" not in entity:
        entity = f"service/{entity}"
    return {
        "words": given.get("words", ""),
        "level": given.get("level", ""),
        "entity": entity,
        "fields": {k.strip(): v.strip() for k, v in fields.items()},
        "query": given.get("q", ""),
    }


def clause(field: str, value: str) -> str:
    """`field:"value"`, as the language writes it."""
    plain = re.fullmatch(r"[A-Za-z0-9_.@]+", value) and value not in ("AND", "OR", "NOT", "TO")
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    return f"{escaped(field)}:{value}" if plain else f'{escaped(field)}:"{quoted}"'


def escaped(field: str) -> str:
    """A field's name as it may stand before a colon."""
    return re.sub(r"([^\w.@-])", r"\\\1", field)


def narrowed(query: str, more: str, without: bool = False) -> str:
    """The query with one more condition (or its opposite)."""
    more = f"NOT {more}" if without else more
    if not query:
        return more
    try:
        tree = parse(query)
    except Invalid:
        return f"({query}) AND {more}"
    loose = isinstance(tree, f.Or) or re.search(r"(\sOR\s|\|\|)", query) is not None or " " in _bare(query)
    return f"({query}) AND {more}" if loose and not isinstance(tree, f.And) else f"{query} AND {more}"


def _bare(query: str) -> str:
    """Without what stands in quotes."""
    return re.sub(r'"(?:\\.|[^"\\])*"', "", query).strip()
