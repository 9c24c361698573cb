"""Check a declaration: every problem at once, with file, line, field and how to mend it.

Example: weatherglass check site.yaml

Needs no server. Exit code 0 when apply would take it, 1 when not.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from weatherglass.base.errors import Invalid
from weatherglass.cli import exits, show

PANEL = "Declare and deploy"


def run(file: Annotated[Path, typer.Argument(help="The declaration.")], json: show.Json = False) -> int:
    from weatherglass.house.check import check

    try:
        site = check(file)
    except Invalid as error:
        found = [asdict(problem) for problem in error.problems]
        if json:
            show.as_json({"ok": False, "problems": found})
        else:
            show.problems(found)
            show.say(f"{len(found)} {'problem' if len(found) == 1 else 'problems'} in {file}", "red")
        return exits.FAILED
    counts = {"hosts": len(site.hosts), "services": len(site.services), "tenants": len(site.tenants)}
    if json:
        show.as_json({"ok": True, "site": site.name, "problems": [], **counts})
    else:
        told = ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
        show.say(f"{site.name} is right: {told}", "green")
    return exits.OK
