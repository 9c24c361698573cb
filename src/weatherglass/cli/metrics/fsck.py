"""Check every file of the stored metrics, with no server running: what is wrong, where, what to do.

Example: weatherglass metrics fsck --state /var/lib/weatherglass
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from weatherglass.base.units import count, size
from weatherglass.cli import exits, show
from weatherglass.cli.client import default_state


def run(
    state: Annotated[Path | None, typer.Option("--state", metavar="DIR", help="The state folder.")] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what loses nothing: orphans, roll-ups.")
    ] = False,
    json: show.Json = False,
) -> int:
    from weatherglass.house.at_rest import checked

    report = checked(state or default_state(), repair=repair)
    if json:
        findings = [
            {"where": one.where, "what": one.what, "mend": one.mend, "harmless": one.harmless, "repaired": one.repaired}
            for one in report.findings
        ]  # fmt: skip
        totals = {"files": report.files, "bytes": report.bytes, "samples": report.samples}
        show.as_json({"sound": report.sound, **totals, "findings": findings})
    else:
        for one in report.findings:
            kind = "mended" if one.repaired else "note" if one.harmless else "WRONG"
            show.say(f"{kind}: {one.where}: {one.what}\n  → {one.mend}")
        word = "sound" if report.sound else "not sound"
        show.say(
            f"{word}: {report.files} files, {size(report.bytes)}, {count(report.samples)} samples in blocks"
        )
    return exits.OK if report.sound else exits.FAILED
