"""`/v1/aggregates`, the deprecated `/v1/aggregation`, `/v1/search/metric`."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from weatherglass.gateway.gnocchi.answers import Answer
from weatherglass.gateway.gnocchi.asking import Ask
from weatherglass.metrics.gnocchi import Bad, Question, instant, predicate, span


def aggregates(ask: Ask) -> Answer:
    history, details = ask.flag("use_history"), ask.flag("details")
    question = ask.question()
    if "fill" not in ask.query and "needed_overlap" not in ask.query:
        question = replace(question, fill="dropna")
    return Answer(
        ask.gnocchi.aggregates.fetch(
            ask.caller,
            ask.body(),
            question,
            groupby=ask.all("groupby"),
            details=details,
            use_history=history,
        )
    )


def _how(ask: Ask) -> dict[str, Any]:
    method = ask.query.get("aggregation", "mean")
    return {"method": method, "again": ask.query.get("reaggregation"), "resample": ask.resample()}


def _ids(given: Any) -> list[str]:
    if not isinstance(given, list):
        raise _invalid("expected a list")
    found = []
    for place, text in enumerate(given):
        try:
            found.append(str(uuid.UUID(text)))
        except (ValueError, AttributeError, TypeError):
            raise _invalid(f"not a valid value @ data[{place}]") from None
    return found


def _invalid(reason: str) -> Bad:
    return Bad(f"Invalid input: {reason}")


def across(ask: Ask) -> Answer:
    """One series out of the metrics that the address names."""
    ask.flag("refresh")
    ids = _ids(ask.query.getlist("metric"))
    return Answer(ask.gnocchi.aggregates.across_ids(ask.caller, ids, ask.question(), **_how(ask)))


def across_posted(ask: Ask) -> Answer:
    """One series out of the metrics that the body names."""
    ask.flag("refresh")
    ids = _ids(ask.body())
    return Answer(ask.gnocchi.aggregates.across_ids(ask.caller, ids, ask.question(), **_how(ask)))


def across_resources(ask: Ask) -> Answer:
    ask.flag("refresh")
    found = ask.gnocchi.aggregates.across_resources(
        ask.caller,
        ask.parts["type"],
        ask.parts["name"],
        ask.question(),
        tree=ask.search(),
        groupby=ask.all("groupby"),
        **_how(ask),
    )
    return Answer(found)


def search(ask: Ask) -> Answer:
    """Measures whose values a predicate holds for."""
    ids = ask.query.getlist("metric_id")
    ask.gnocchi.aggregates.may_search(ask.caller, ids)
    if not ask.raw:
        raise Bad("No query specified in body")
    body = ask.body()
    holds = predicate(body)
    start, stop = _at(ask, "start"), _at(ask, "stop")
    try:
        levels = sorted((span(text) for text in ask.all("granularity")), reverse=True)
    except ValueError as error:
        raise Bad(str(error)) from None
    return Answer(
        ask.gnocchi.aggregates.search(
            ask.caller,
            ids,
            holds,
            Question(start, stop),
            method=ask.query.get("aggregation", "mean"),
            granularities=levels or None,
        )
    )


def _at(ask: Ask, name: str) -> int | None:
    text = ask.query.get(name)
    if text is None:
        return None
    try:
        return instant(text, ask.now_ns)
    except (ValueError, OverflowError):
        raise Bad(f"Invalid value for {name}") from None
