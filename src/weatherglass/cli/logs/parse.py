"""Read files of logs as events: where each begins and ends, its fields, its template. Needs no server.

Example: weatherglass logs parse /var/log/nova/*.log --json

Reads .gz and .zst too, and - for standard input; a stream, in memory that does not grow. How many events there
were of each format, and how many that none fits, is told on standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from weatherglass.cli import exits, show


def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="- is standard input.")],
    kind: Annotated[
        str, typer.Option(help="auto; syslog or plain where no raw line ever goes on with an event.")
    ] = "auto",
    json: show.Json = False,
) -> int:
    import json as text

    from weatherglass.house.logfiles import Told, events

    told = Told()
    write = sys.stdout.write
    for event in events(files, told, kind=kind):
        if json:
            # ASCII, as a lone surrogate of a JSON log has no UTF-8.
            write(text.dumps(event) + "\n")
            continue
        fields = event["fields"]
        message = str(fields["message"]).encode("utf-8", "backslashreplace").decode()
        write(
            f"{event['first_line']:>7}  {fields['time'] or '-':30}  {fields['level'] or '-':8}  {fields['logger'] or '-'}  {message}\n"
        )
    sys.stdout.flush()
    shares = ", ".join(f"{count} {name}" for name, count in told.formats.most_common())
    print(
        f"{told.lines} lines, {told.events} events: {shares or 'none'}; {told.plain} unparsed (kept whole)",
        file=sys.stderr,
    )
    if told.cut:
        print(f"{told.cut} parts of events longer than the bound", file=sys.stderr)
    return exits.OK
