"""Watch a cloud that runs already: what it is made of, how it is; nothing is changed there.

Example: weatherglass adopt --clouds clouds.yaml --cloud prod

Only reads are sent, and the log-in. With --dry-run the cloud is read once, from here, and shown; no server is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from weatherglass.cli import exits, show
from weatherglass.cli.client import Client

PANEL = "Look"


def run(
    clouds: Annotated[Path, typer.Option("--clouds", metavar="FILE", help="clouds.yaml, as OpenStack's clients read it.")],
    cloud: Annotated[str, typer.Option("--cloud", metavar="NAME", help="Which of its clouds; needed where there are several.")] = "",
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What it is called here; else as in the file.")] = "",
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="How often it is read.")] = 60.0,
    forget: Annotated[bool, typer.Option("--forget", help="Watch it no more.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read it once and say what would be watched.")] = False,
    state: show.State = None,
    json: show.Json = False,
) -> int:  # fmt: skip
    from weatherglass.house import watching

    chosen, entry = watching.chosen(clouds, cloud)
    called = name or chosen.name
    if dry_run:
        told = watching.look(chosen)
    elif forget:
        told = Client(state).delete(f"/api/v1/openstack/clouds/{called}")
        show.as_json(told) if json else show.say(f"{called} is watched no more.")
        return exits.OK
    else:
        told = Client(state).post(
            "/api/v1/openstack/clouds", {"name": called, "entry": entry, "every_s": every}
        )
    if json:
        show.as_json(told)
    else:
        _say(called, told, dry_run)
    return exits.FAILED if told["failed"] else exits.OK


def _say(called: str, told: dict[str, Any], dry_run: bool) -> None:
    show.table(("kind", "entities"), [(kind, str(count)) for kind, count in sorted(told["counts"].items())])
    for id, why in sorted(told.get("unwell", {}).items()):
        show.say(f"{id}: {why}", "yellow")
    for service, why in sorted(told["failed"].items()):
        show.say(f"{service} did not answer: {why}", "red")
    for question, why in sorted(told["denied"].items()):
        show.say(f"{question}: {why}", "yellow")
    done = "would be watched" if dry_run else "is watched"
    show.say(
        f"{called} {done}: {told['entities']} entities, {told['samples']} series. Nothing is changed there."
    )
