"""Reduce files of logs, of whatever format, to the templates of their messages, with counts. Needs no server.

Example: weatherglass logs templates /var/log/nova/*.log --json

Reads .gz and .zst too, and - for standard input. With --json, one object a line and template, most frequent first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="- is standard input.")],
    json: show.Json = False,
) -> int:
    import json as text

    from weatherglass.house.logfiles import Told
    from weatherglass.house.logtemplates import templates

    told = Told()
    found = templates(files, told)
    for one in found:
        if json:
            # ASCII, as a lone surrogate of a JSON log has no UTF-8.
            sys.stdout.write(text.dumps(one) + "\n")
        else:
            words = str(one["template"]).encode("utf-8", "backslashreplace").decode()
            sys.stdout.write(f"{one['count']:>9}  {words}\n")
    sys.stdout.flush()
    print(f"{told.events} events, {len(found)} templates", file=sys.stderr)
    return exits.OK
