"""How answers look: tables and weather words for people, JSON for programs. Options that verbs share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from weatherglass.base.time import SECOND_NS

State = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="The state folder of the server to speak to.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

COLOURS = {
    "healthy": "green",
    "sick": "yellow",
    "dying": "red",
    "dead": "bold red",
    "unknown": "bright_black",
    "good": "green",
    "bad": "red",
    "info": "default",
}


def as_json(value: Any) -> None:
    """One JSON text."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def console(error: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=error, highlight=False, soft_wrap=not sys.stdout.isatty())


def say(text: str, colour: str = "") -> None:
    """A line for people; nothing in it is markup."""
    from rich.text import Text

    console().print(Text(text, style=colour))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], colour_of: int = -1) -> None:
    """A table; the cells of column `colour_of` take the colour of their word."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        made.add_column(head, overflow="fold")
    for row in rows:
        made.add_row(
            *[
                Text(cell, style=COLOURS.get(cell, "") if at == colour_of else "")
                for at, cell in enumerate(row)
            ]
        )
    console().print(made)


def clock(ns: int) -> str:
    """An instant in this machine's own time, to the second; nothing for 0."""
    return datetime.fromtimestamp(ns / SECOND_NS).strftime("%Y-%m-%d %H:%M:%S") if ns else ""


def problems(found: Iterable[Any], name: str = "") -> None:
    """Problems as `file:line.field: what` and how to mend it."""
    from rich.text import Text

    out = console()
    for one in found:
        where = one["where"]
        out.print(Text.assemble((f"{where}: " if where else "", "bold"), one["message"]))
        if one["mend"]:
            out.print(Text(f"  → {one['mend']}", style="green"))
