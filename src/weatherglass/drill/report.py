"""What a drill found, for people (a table) and for programs (JSON)."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from weatherglass.base import units
from weatherglass.base.time import SECOND_NS
from weatherglass.drill.run import Outcome
from weatherglass.drill.verdict import delays

FORMAT = 1


def timeline(outcome: Outcome) -> list[tuple[float, str, str]]:
    """(seconds from the fault, title, text) of everything that happened, in order."""
    observed, zero = outcome.observed, outcome.observed.asked_ns
    told = [(outcome.injected.at_ns, "Fault", outcome.injected.text)]
    told += [
        (turn.at_ns, "State", f"{turn.entity} {turn.state}{f' ({turn.kind})' if turn.kind else ''}")
        for turn in observed.turns
    ]
    incident = observed.incident
    if incident is not None:
        told.append((observed.seen_ns, "Incident", f"incident {incident['id']} is open"))
        told += [(int(one["at_ns"]), str(one["title"]), str(one["text"])) for one in incident["moments"]]
        if incident["closed_ns"]:
            told.append((int(incident["closed_ns"]), "Closed", str(incident["sentence"])))
    # A first sign may have been seen by a probe under way before the fault was answered: never before zero.
    return sorted(((max(0, at_ns - zero) / SECOND_NS, title, text) for at_ns, title, text in told), key=_at)


def _at(row: tuple[float, str, str]) -> float:
    return row[0]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The whole report. `version` is that of this form."""
    incident = outcome.observed.incident
    return {
        "version": FORMAT,
        "drill": outcome.drill.name,
        "passed": outcome.passed,
        "target": asdict(outcome.target),
        "delays": {
            name: None if value is None else round(value, 3)
            for name, value in asdict(delays(outcome.observed)).items()
        },
        "checks": [asdict(check) for check in outcome.checks],
        "kinds": outcome.observed.kinds,
        "timeline": [
            {"after_s": round(after, 3), "title": title, "text": text}
            for after, title, text in timeline(outcome)
        ],
        "sentence": str(incident["sentence"]) if incident else "",
        "incident": int(incident["id"]) if incident else None,
        "page": _page(outcome),
        "other_incidents": outcome.observed.others,
        "looks_unanswered": outcome.observed.silent,
    }


def show(outcome: Outcome) -> None:
    """The report on standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    story = Table(box=None, pad_edge=False, header_style="bold")
    story.add_column("after", justify="right", no_wrap=True)
    story.add_column("what", no_wrap=True)
    story.add_column("")
    for after, title, text in timeline(outcome):
        story.add_row(f"+{units.duration(after)}", title, Text(text))
    checks = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("", "expected", "wanted", "found"):
        checks.add_column(head)
    for check in outcome.checks:
        mark = Text("met" if check.ok else "NOT MET", style="green" if check.ok else "bold red")
        checks.add_row(mark, check.name, Text(check.wanted), Text(check.found))
    console.print(story)
    console.print()
    console.print(checks)
    console.print()
    if outcome.observed.incident:
        console.print(Text(str(outcome.observed.incident["sentence"])))
        console.print(Text(_page(outcome), style="bright_black"))
    for number, sentence in outcome.observed.others.items():
        console.print(Text(f"besides, incident {number}: {sentence}", style="yellow"))
    missed = [check.name for check in outcome.checks if not check.ok]
    verdict = (
        f"{outcome.drill.name}: passed"
        if not missed
        else f"{outcome.drill.name}: failed ({', '.join(missed)})"
    )
    console.print(Text(verdict, style="bold green" if not missed else "bold red"))


def _page(outcome: Outcome) -> str:
    incident = outcome.observed.incident
    return f"{outcome.url}/i/{incident['id']}" if incident else ""
