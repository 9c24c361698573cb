"""What plan, apply and rollback share: how a plan reads, how a run is followed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Unavailable
from weatherglass.base.units import duration
from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

_SIGNS = {
    "create": "+",
    "remove": "-",
    "replace": "±",
    "start": ">",
    "restart": "↻",
    "grow": "↑",
    "run": ">",
    "mount": ">",
}


def source(file: Path | None) -> dict[str, str]:
    """The body that names a declaration by its path."""
    return {"path": str(file.resolve())} if file else {}


def show_plan(plan: dict[str, Any]) -> None:
    """Each change with its reasons and what it takes down meanwhile."""
    for change in plan["changes"]:
        sign = _SIGNS.get(change["action"], "·")
        show.say(f"{sign} {change['action']:8} {change['unit']}", "red" if change["undo"] != "yes" else "")
        for reason in change["reasons"]:
            show.say(
                f"      {reason['attribute']}: {reason['old'] or 'nothing'} → {reason['new'] or 'nothing'}"
            )
        if change["takes_down"]:
            show.say(f"      takes down {', '.join(change['takes_down'])}", "yellow")
        if change["undo"] != "yes":
            show.say("      cannot be undone", "red")
    for note in plan.get("notes", ()):
        show.say(f"note: {note}", "yellow")
    counts = Counter(change["action"] for change in plan["changes"])
    told = ", ".join(f"{count} to {action}" for action, count in sorted(counts.items()))
    show.say(told or "Nothing to change: what runs is what is declared.")


def follow(client: Client, run: int, json: bool) -> int:
    """Tell a run's lines as they come; the exit code of how it ended."""
    view: dict[str, Any] = {}
    shown = 0
    for kind, body in client.events(f"/api/v1/runs/{run}/events"):
        if kind != "run":
            continue
        view = body
        lines = [item for item in view["items"] if item["at_ns"] > shown]
        for item in lines if not json else ():
            show.say(f"{view['fraction']:4.0%}  {item['text']}", show.COLOURS.get(item["level"], ""))
        shown = max([shown, *(item["at_ns"] for item in lines)])
    if not view or view["state"] == "running":
        raise Unavailable(f"the server stopped while run {run} was under way", mend="weatherglass status")
    if json:
        show.as_json(view)
    elif view["state"] == "done":
        seconds = (view["ended_ns"] - view["started_ns"]) / 1e9
        show.say(f"Done in {duration(seconds)}: generation {view['generation']} is live.", "green")
    else:
        show.say(f"{view['state']}: {view['error']}", "red")
        if view["mend"]:
            show.say(f"  → {view['mend']}", "green")
    return exits.OK if view["state"] == "done" else exits.FAILED
