"""Run a pipeline, measure every task, keep a record from which the run can be repeated.

Example: weatherglass pipeline run examples/metagenomics -n 2 --config data=/data/mgnify

What is finished already is not done again, so a run that was killed goes on where it was.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from weatherglass.cli import exits, show


def run(
    pipeline: Annotated[Path, typer.Argument(help="A workflow's folder or its Snakefile.")],
    n: Annotated[int, typer.Option("-n", help="Cores on this machine; jobs at once on a cluster.")] = 1,
    on: Annotated[str, typer.Option(help="local, slurm, or another executor of Snakemake's.")] = "local",
    directory: Annotated[
        Path | None, typer.Option("--directory", "-d", help="Where to run.", show_default=False)
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", metavar="KEY=VALUE", help="The workflow's own configuration."),
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option("--engine", metavar="WORD", help="A word for the engine, as it is.")
    ] = None,
    measure: Annotated[bool, typer.Option(help="Measure every task.")] = True,
    json: show.Json = False,
) -> int:
    from dataclasses import asdict

    from weatherglass.house.running import profile, started

    record = started(
        pipeline,
        directory=directory,
        n=n,
        executor=on,
        config=config or (),
        arguments=engine or (),
        measure=measure,
        progress=None if json or not sys.stderr.isatty() else _bar,
    )
    if json:
        show.as_json(asdict(record))
    else:
        from weatherglass.cli.pipeline.profile import say

        say(profile(record))
    return exits.OK if record.state == "done" else exits.FAILED


def _bar(told: Any, left_s: float | None) -> None:
    """One line that is written over: how far, what runs, about how long still."""
    running = sorted({str(job.info.get("rule_name")) for job in told.jobs.values() if job.state == "running"})
    width = 30
    filled = int(width * told.done / told.total) if told.total else 0
    left = f", about {left_s:.0f} s left" if left_s is not None and told.done < told.total else ""
    line = f"[{'█' * filled}{'·' * (width - filled)}] {told.done}/{told.total}{left}  {', '.join(running)}"
    sys.stderr.write(f"\r\x1b[K{line[:120]}")
    if told.total and told.done == told.total:
        sys.stderr.write("\n")
    sys.stderr.flush()
