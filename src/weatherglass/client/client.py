"""`Client`: one server, one token. Every refusal of the server's is raised as an error of ours, with its words."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import httpx

from weatherglass.base import errors
from weatherglass.base.errors import Invalid, Unavailable, WeatherglassError
from weatherglass.base.time import SECOND_NS, parse_iso
from weatherglass.base.units import parse_duration
from weatherglass.client import results, writing
from weatherglass.client.results import Events, Result, Series

When = datetime | float | str
"""An instant: a datetime (naive: UTC), seconds since the epoch, ISO 8601, `now`, or from now on like `-6h`."""
Span = float | str
"""Seconds, or `5m`."""

STEPS_AT_MOST = 11_000
"""What the server answers in one piece; longer ranges are asked for in several."""
_METRICS, _LOGS = "/prometheus/api/v1", "/api/v1/logs"
_BY_STATUS: dict[int, type[WeatherglassError]] = {
    400: errors.Invalid, 401: errors.Unauthenticated, 403: errors.Denied, 404: errors.NotFound,
    409: errors.Conflict, 413: errors.TooLarge, 422: errors.Invalid, 429: errors.LimitExceeded,
    503: errors.Unavailable,
}  # fmt: skip


class Client:
    """May be used from any thread. `tenant` chooses among those that the token may see."""

    def __init__(self, url: str, *, token: str = "", tenant: str = "", timeout_s: float = 60.0) -> None:
        headers = {"user-agent": "weatherglass-client"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if tenant:
            headers["x-weatherglass-tenant"] = tenant
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s)

    @classmethod
    def from_environment(cls, **more: Any) -> Client:
        """The server that WEATHERGLASS_URL and WEATHERGLASS_TOKEN name. Raises Unavailable without."""
        url = os.environ.get("WEATHERGLASS_URL", "")
        if not url:
            raise Unavailable("WEATHERGLASS_URL is not set", mend="export WEATHERGLASS_URL=http://HOST:8700")
        return cls(url, token=os.environ.get("WEATHERGLASS_TOKEN", ""), **more)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    # --- metrics ---

    def query(self, expr: str, at: When = "now") -> Result:
        """PromQL at one instant. Raises Invalid (`where` is line:column), LimitExceeded, Unavailable …"""
        return self._asked("query", {"query": expr, "time": str(_seconds(at))})

    def query_range(self, expr: str, start: When = "-1h", end: When = "now", step: Span = "1m") -> Result:
        """PromQL over a span, both ends included; of any length."""
        first, last, width = _seconds(start), _seconds(end), _span(step)
        if width <= 0 or last < first:
            raise Invalid("a range ends after its start and has a step", where="start, end, step")
        parts = []
        while first <= last:
            until = min(last, first + width * (STEPS_AT_MOST - 1))
            asked = {"query": expr, "start": str(first), "end": str(until), "step": str(width)}
            parts.append(self._asked("query_range", asked))
            first = round(first + width * STEPS_AT_MOST, 3)
        return results.joined(parts)

    def series(
        self, match: str | Sequence[str], start: When = "-1h", end: When = "now"
    ) -> list[dict[str, str]]:
        """The label sets that selectors find."""
        asked = {"match[]": [match] if isinstance(match, str) else list(match)}
        found: list[dict[str, str]] = self._data("series", asked | _bounds(start, end))["data"]
        return found

    def label_names(self, match: str = "", start: When = "-1h", end: When = "now") -> list[str]:
        found: list[str] = self._data("labels", _matching(match) | _bounds(start, end))["data"]
        return found

    def label_values(self, label: str, match: str = "", start: When = "-1h", end: When = "now") -> list[str]:
        asked = _matching(match) | _bounds(start, end)
        found: list[str] = self._json("GET", f"{_METRICS}/label/{label}/values", params=asked)["data"]
        return found

    def explain(self, expr: str, at: When = "now") -> Mapping[str, Any]:
        """What each part of a query took: `plan`, `samples`, `ms`."""
        found: Mapping[str, Any] = self._data("explain", {"query": expr, "time": str(_seconds(at))})["data"]
        return found

    def write(self, series: Iterable[Series]) -> int:
        """Stores samples; durable on return. How many were sent.

        Raises Invalid, LimitExceeded, TooLarge …; of more than one request's worth, those before are stored then.
        """
        every = list(series)
        for body in writing.bodies(every):
            self._sent(
                "POST", f"{_METRICS}/write", content=body,
                headers={
                    "content-type": "application/x-protobuf", "content-encoding": "snappy",
                    "x-prometheus-remote-write-version": "0.1.0",
                },
            )  # fmt: skip
        return sum(len(one.values) for one in every)

    def write_frame(self, frame: Any, name: str, **labels: str) -> int:
        """A pandas DataFrame as series: an index of instants (naive: UTC), a column a series. The columns' levels are
        labels by their names (one without a name: `column`); NaN is no sample."""
        return self.write(_of_frame(frame, name, labels))

    # --- logs ---

    def search(
        self,
        query: str = "",
        *,
        start: When = "-1h",
        end: When = "now",
        words: str = "",
        entity: str = "",
        level: str = "",
        fields: Mapping[str, str] | None = None,
        limit: int = 100,
        before: str = "",
    ) -> Events:
        """Log events, newest first: `query` in the language of docs/logs.md, and filters beside it."""
        asked: dict[str, Any] = {
            "query": query, "words": words, "entity": entity, "level": level, "before": before, "limit": limit,
            "field": [f"{name}:{value}" for name, value in (fields or {}).items()], **_bounds(start, end),
        }  # fmt: skip
        told = self._json(
            "GET", f"{_LOGS}/search", params={k: v for k, v in asked.items() if v not in ("", [])}
        )
        return Events(told["events"], str(told.get("next") or ""))

    # --- the wire ---

    def _asked(self, what: str, fields: Mapping[str, Any]) -> Result:
        told = self._data(what, fields)
        return results.read(told["data"], told.get("warnings", ()), told.get("infos", ()))

    def _data(self, what: str, fields: Mapping[str, Any]) -> Any:
        return self._json("POST", f"{_METRICS}/{what}", data=fields)

    def _json(self, method: str, path: str, **more: Any) -> Any:
        return self._sent(method, path, **more).json()

    def _sent(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"the server at {self.url} does not answer: {error or type(error).__name__}",
                mend="see that it runs",
            ) from error
        if answer.is_error:
            raise refusal(answer)
        return answer


def refusal(answer: httpx.Response) -> WeatherglassError:
    """What the server said, as the error that it is: Prometheus' form, ours, or whatever stands there."""
    kind = _BY_STATUS.get(answer.status_code, WeatherglassError)
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return kind(answer.text.strip()[:500] or f"the server answered {answer.status_code}")
    if told.get("status") == "error":
        message = str(told.get("error", ""))
        place = re.search(r"(\d+:\d+):", message)
        return kind(message, where=place[1] if place else "")
    return kind(
        str(told.get("message") or f"the server answered {answer.status_code}"),
        where=str(told.get("where", "")),
        mend=str(told.get("mend", "")),
    )


def _seconds(when: When) -> float:
    """Seconds since the epoch, to the millisecond. Raises Invalid."""
    if isinstance(when, datetime):
        return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp(), 3)
    if isinstance(when, int | float):
        return round(float(when), 3)
    try:
        if when == "now" or when[:1] in "+-":
            shift = parse_duration(when[1:]) if when != "now" else 0.0
            return round(time.time() + (-shift if when.startswith("-") else shift), 3)
        return round(parse_iso(when) / SECOND_NS, 3)
    except ValueError as error:
        raise Invalid(f"{when!r} is no instant", mend="write 2026-11-22T14:00Z, now, or -6h") from error


def _span(span: Span) -> float:
    try:
        return float(span) if isinstance(span, int | float) else parse_duration(span)
    except ValueError as error:
        raise Invalid(str(error), where="step", mend="write one like 5m") from error


def _bounds(start: When, end: When) -> dict[str, str]:
    return {"start": str(_seconds(start)), "end": str(_seconds(end))}


def _matching(match: str) -> dict[str, Any]:
    return {"match[]": match} if match else {}


def _of_frame(frame: Any, name: str, labels: Mapping[str, str]) -> Iterable[Series]:
    import pandas as pd

    index = pd.DatetimeIndex(frame.index)
    index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    instants = index.as_unit("ms").asi8
    for i, column in enumerate(frame.columns):
        own = dict(zip(frame.columns.names, column if isinstance(column, tuple) else (column,), strict=True))
        told = {str(level or "column"): str(value) for level, value in own.items() if str(value)}
        kept = frame.iloc[:, i].notna().to_numpy()
        values = frame.iloc[:, i].to_numpy(dtype="float64")[kept].tolist()
        yield Series({**told, **labels, results.NAME: name}, instants[kept].tolist(), values)
