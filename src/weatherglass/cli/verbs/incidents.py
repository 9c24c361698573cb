"""List what went wrong, tell one incident's story, or say yes to a remedy that it proposes.

Example: weatherglass incidents 3 --approve restart
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from weatherglass.base.errors import Invalid
from weatherglass.base.units import duration
from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

PANEL = "Look"


def run(
    number: Annotated[
        int | None, typer.Argument(metavar="ID", help="One incident.", show_default=False)
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Those not closed alone.")] = False,
    approve: Annotated[
        str, typer.Option(metavar="REMEDY", help="Say yes to this remedy of the incident.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
    state: show.State = None,
    json: show.Json = False,
) -> int:
    client = Client(state)
    if approve:
        return _approve(client, number, approve, yes, json)
    if number is not None:
        told = client.get(f"/api/v1/incidents/{number}")
        show.as_json(told) if json else _story(told)
        return exits.OK
    found = client.get("/api/v1/incidents", open="1" if open else "", limit=limit)
    if json:
        show.as_json(found)
    elif found["incidents"]:
        rows = [
            (str(one["id"]), one["state"], show.clock(one["opened_ns"]), _lasted(one), one["sentence"])
            for one in found["incidents"]
        ]
        show.table(("id", "state", "opened", "lasted", "what happened"), rows)
    else:
        show.say("No incidents. To see one made and healed: weatherglass drill run kill-store")
    return exits.OK


def _approve(client: Client, number: int | None, action: str, yes: bool, json: bool) -> int:
    """What is proposed and what it takes down, a question, and then the yes."""
    if number is None:
        raise Invalid("--approve needs the incident's number", mend="weatherglass incidents lists them")
    if not yes:
        told = client.get(f"/api/v1/incidents/{number}")
        for one in told["remedies"]:
            if one["state"] == "proposed" and one["remedy"] == action.removeprefix("deploy."):
                felt = client.get(f"/api/v1/entities/{one['entity']}")["dependants"]
                show.say(f"{one['remedy']} {one['entity']}: {one['reason'] or 'proposed'}")
                show.say(f"may be felt by {', '.join(felt) or 'nothing that is declared'}")
        typer.confirm(f"Approve {action}?", abort=True)
    outcome = client.post(f"/api/v1/incidents/{number}/approve", {"action": action})
    if json:
        show.as_json(outcome)
    else:
        show.say(f"approved: {action}" + (f" ({outcome['reference']})" if outcome["reference"] else ""))
    return exits.OK


def _lasted(one: dict[str, Any]) -> str:
    return duration((one["closed_ns"] - one["opened_ns"]) / 1e9) if one["closed_ns"] else ""


def _reason(remedy: dict[str, Any]) -> str:
    return f" ({remedy['reason']})" if remedy.get("reason") else ""


def _story(told: dict[str, Any]) -> None:
    show.say(f"Incident {told['id']}, {told['state']}", "bold")
    show.say(told["sentence"])
    show.say(f"cause     {told['cause'] or 'not named'} ({told['kind'] or 'unknown'})")
    show.say(f"affected  {', '.join(told['affected'])}")
    show.say(f"tenants   {', '.join(told['tenants']) or 'none'}")
    for one in told["remedies"]:
        show.say(f"remedy    {one['remedy']} {one['entity']}: {one['state']}{_reason(one)}")
        if one["state"] == "proposed" and not told["closed_ns"]:
            show.say(f"          weatherglass incidents {told['id']} --approve {one['remedy']}")
    for moment in told["moments"]:
        show.say(f"{show.clock(moment['at_ns'])}  {moment['title']}: {moment['text']}")
    for entity, evidence in told["evidence"].items():
        for one in evidence:
            show.say(f"  {entity}: {one['text']}", "bright_black")
