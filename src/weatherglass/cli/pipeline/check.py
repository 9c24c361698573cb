"""Say what stands between a pipeline and a cloud: a finding a line, why it hurts, how to mend it.

Example: weatherglass pipeline check ./my-pipeline

A folder, a file, or the address of a git repository (cloned without its history). Nothing of it is run.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from weatherglass.cli import exits, show


def run(
    path: Annotated[str, typer.Argument(metavar="PATH|GIT-URL", help="A pipeline's folder or file.")],
    patch: Annotated[
        bool, typer.Option("--patch", help="Print only the patch of what is mechanical.")
    ] = False,
    json: show.Json = False,
) -> int:
    from weatherglass.house.readiness import checked

    found = checked(path)
    if json:
        show.as_json(found["findings"])
    elif patch:
        show.say("\n".join(one["patch"] for one in found["findings"] if one["patch"]))
    else:
        _say(found)
    return exits.FAILED if found["findings"] else exits.OK


def _say(found: dict[str, Any]) -> None:
    last = ""
    for one in sorted(found["findings"], key=lambda one: (one["rule"], one["file"], one["line"])):
        if one["rule"] != last:
            last = one["rule"]
            show.say(f"{last}: {one['why']}", "bold")
            show.say(f"  → {one['mend']}", "green")
        show.say(f"    {one['file']}:{one['line']}: {one['found']}")
    for note in found["notes"]:
        show.say(note, "yellow")
    read = ", ".join(f"{count} {kind}" for kind, count in found["read"].items())
    show.say(f"{len(found['findings'])} findings in {read}")
    for way in found["ways"]:
        state = "ready" if way["ready"] else f"{way['blockers']} things would stop it"
        show.say(f"{way['name']}: {state}; effort {way['effort']}", "green" if way["ready"] else "yellow")
        for brings in way["brings"]:
            show.say(f"    {brings}")
