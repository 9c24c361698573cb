"""How an event is told on a terminal, and a span of ns."""

from __future__ import annotations

import json as text
from collections.abc import Mapping
from typing import Any

import typer

from weatherglass.base.time import SECOND_NS
from weatherglass.base.units import duration
from weatherglass.cli import show

LEVELS = {"ERROR": "red", "CRITICAL": "bold red", "WARNING": "yellow", "DEBUG": "bright_black"}


def source_of(event: Mapping[str, Any]) -> str:
    labels = dict(event["labels"])
    return str(labels.get("replica") or labels.get("service") or labels.get("host", ""))


def tell(event: Mapping[str, Any], json: bool = False) -> None:
    """One line: when, how grave, who, what; or the event as JSON."""
    if json:
        typer.echo(text.dumps(event, ensure_ascii=False))
        return
    said = event["message"] or event["fields"].get("span_name", "") or event["raw"]
    line = f"{show.clock(event['time_ns'])}  {event['level'] or '-':8} {source_of(event)}  {said}"
    show.say(line, LEVELS.get(event["level"], ""))


def span(ns: int) -> str:
    return duration(ns / SECOND_NS)
