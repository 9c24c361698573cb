"""A request to Gnocchi as its handlers see it, and its parameters read as Gnocchi reads them. Reads no socket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson
from starlette.datastructures import Headers, QueryParams

from weatherglass.gateway.errors import WrongType
from weatherglass.gateway.gnocchi.answers import check
from weatherglass.metrics.gnocchi import (
    CALENDAR,
    FILLS,
    Bad,
    Caller,
    Gnocchi,
    Page,
    Question,
    Resource,
    argument,
    instant,
    json_filter,
    span,
    text_filter,
)

_TRUE = frozenset({"t", "true", "on", "y", "yes", "1"})
_FALSE = frozenset({"f", "false", "off", "n", "no", "0"})
_JSON = ("application/json",)


@dataclass(slots=True)
class Ask:
    """One request: who asks, of what, and its body."""

    gnocchi: Gnocchi
    who: Caller | None  # None on the few paths that are open
    method: str
    base: str  # address of `/gnocchi`, as the client sees it
    path: str  # below it, as it was sent
    parts: dict[str, str]  # what stands in the path's places
    query: QueryParams
    headers: Headers
    raw: bytes
    now_ns: int
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def caller(self) -> Caller:
        assert self.who is not None
        return self.who

    @property
    def v1(self) -> str:
        return self.base + "/v1"

    # --- the body ----------------------------------------------------------------------------------------

    def expect(self, kinds: Sequence[str] = _JSON) -> None:
        """Raises WrongType (415) where the body is of another type."""
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() not in kinds:
            raise WrongType("the body is of another type", where="Content-Type", mend=kinds[0])

    def body(self, kinds: Sequence[str] = _JSON) -> Any:
        """The JSON value of the body. Raises WrongType (415), Bad."""
        self.expect(kinds)
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError as error:
            if self.raw.strip():
                return self._leniently(str(error))
            raise _undecoded("Expected object or value") from None

    def _leniently(self, reason: str) -> Any:
        """NaN and Infinity are no JSON, and Gnocchi's clients send them."""
        try:
            return json.loads(self.raw)
        except (ValueError, RecursionError):
            raise _undecoded(reason) from None

    # --- parameters --------------------------------------------------------------------------------------

    def flag(self, name: str, otherwise: bool = False) -> bool:
        text = self.query.get(name)
        return otherwise if text is None else boolean(name, text)

    def all(self, name: str) -> list[str]:
        return [value for value in self.query.getlist(name) if value]

    def page(self, default: Sequence[str]) -> Page:
        """Raises Bad."""
        most = self.gnocchi.settings.max_limit
        text = self.query.get("limit")
        limit = most
        if text is not None:
            try:
                limit = int(text)
            except ValueError:
                raise _value("expected int for dictionary value @ data['limit']") from None
            if limit < 1:
                raise _value("value must be at least 1 for dictionary value @ data['limit']")
        return Page(min(limit, most), self.query.get("marker"), tuple(self.all("sort") or default))

    def link(self, page: Page) -> Mapping[str, Any]:
        """The parameters that the next page's address keeps."""
        kept: dict[str, Any] = {name: self.query.getlist(name) for name in self.query}
        return {**kept, "limit": page.limit, "sort": list(page.sorts)}

    @property
    def address(self) -> str:
        return self.base + quote(self.path, safe="/%:@!$&'()*+,;=~")

    def question(self, *, overlap: bool = True) -> Question:
        """Raises Bad."""
        query = self.query
        needed: float | None = None
        if overlap and "needed_overlap" in query:
            try:
                needed = float(query["needed_overlap"])
            except ValueError:
                raise argument("needed_overlap", "Must be a number") from None
        start, stop = self._instant("start"), self._instant("stop")
        granularity = None
        if "granularity" in query:
            try:
                granularity = span(query["granularity"])
            except ValueError as error:
                raise argument("granularity", str(error)) from None
        return Question(start, stop, granularity, 100.0 if needed is None else needed, self._fill())

    def _instant(self, name: str) -> int | None:
        text = self.query.get(name)
        if text is None:
            return None
        try:
            return instant(text, self.now_ns)
        except (ValueError, OverflowError):
            raise argument(name, "Must be a datetime or a timestamp") from None

    def _fill(self) -> float | str | None:
        text = self.query.get("fill")
        if text is None or text in FILLS:
            return text
        try:
            return float(text)
        except ValueError:
            raise argument(
                "fill",
                "Must be a float, 'dropna', 'null', 'ffill', 'bfill', 'full_ffill' or 'full_bfill'",
            ) from None

    def resample(self) -> int | str | None:
        """A span in ns, or the letter of a calendar's. Raises Bad."""
        text = self.query.get("resample")
        if not text:
            return None
        if "granularity" not in self.query:
            raise Bad("A granularity must be specified to resample")
        if text in CALENDAR:
            return text
        try:
            return span(text)
        except ValueError as error:
            raise Bad(str(error)) from None

    def search(self) -> dict[str, Any] | None:
        """The filter of the body or of the address; None without one. Raises Bad, WrongType."""
        if self.raw:
            return json_filter(self.body(), self.caller.creator)
        text = self.query.get("filter")
        return text_filter(text, self.caller.creator) if text else None

    def fresh(self, resource: Resource) -> None:
        """Raises Stale, Unchanged where a precondition of the request does not hold."""
        check(resource, self.headers, self.method)


def boolean(name: str, text: str) -> bool:
    """A yes or no of the address. Raises Bad."""
    plain = text.strip().lower()
    if plain in _TRUE:
        return True
    if plain in _FALSE:
        return False
    choices = ", ".join(f"'{one}'" for one in sorted(_TRUE | _FALSE))
    raise Bad(f"Unable to parse `{name}': Unrecognized value '{text}', acceptable values are: {choices}")


def _value(reason: str) -> Bad:
    return Bad({"cause": "Argument value error", "reason": reason})


def _undecoded(reason: str) -> Bad:
    return Bad({"cause": "Unable to decode body", "reason": reason, "detail": []})
