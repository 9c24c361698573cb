"""Dashboards for the command line: taken over from Grafana, checked with their queries. No server is asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from weatherglass.base.errors import Conflict, Invalid, WeatherglassError
from weatherglass.metrics.dashboards import ALL, Dashboard, Span, choose, fill, read, to_yaml
from weatherglass.metrics.dashboards.shelf import slug_of
from weatherglass.metrics.promql import parse

_SPAN = Span(0, 3_600_000, 15_000)


class TakenOver(NamedTuple):
    """A file that was written, and what of its source it cannot show."""

    file: Path
    title: str
    panels: int
    told: list[str]


def taken_over(source: Path, folder: Path, *, replace: bool = False) -> TakenOver:
    """Raises Invalid, Conflict (a file is there already), OSError as Invalid."""
    dashboard = _read(source)
    to = folder / f"{slug_of(source.stem)}.yaml"
    if to.exists() and not replace:
        raise Conflict(f"{to} is there already", mend="give --replace, or another folder with --to")
    folder.mkdir(parents=True, exist_ok=True)
    fresh = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        fresh.write_text(to_yaml(dashboard))
        fresh.rename(to)
    finally:
        fresh.unlink(missing_ok=True)
    told = [
        *dashboard.told,
        *(f"{p.title or 'a panel'}: {text}" for p in dashboard.panels for text in p.told),
    ]
    return TakenOver(to, dashboard.title, len(dashboard.panels), told + wrong(dashboard))


def checked(file: Path) -> list[str]:
    """Everything that is wrong with a file, a line each."""
    try:
        return wrong(_read(file))
    except WeatherglassError as error:
        return [f"{one.where}: {one.message}" for one in error.problems] or [
            f"{error.where}: {error.message}"
        ]


def wrong(dashboard: Dashboard) -> list[str]:
    """Queries that cannot be asked, with made-up values for the variables whose values lie in the store."""
    every = {one.name: list(one.values) or ["1"] for one in dashboard.variables}
    chosen = {one.name: choose(one, [ALL] if one.all else [], every[one.name]) for one in dashboard.variables}
    found = []
    for panel in dashboard.panels:
        for query in panel.queries:
            filled = fill(query.expr, dashboard.variables, chosen, every, _SPAN)
            found += [f"{panel.title or 'a panel'}: there is no variable ${name}" for name in filled.unknown]
            try:
                parse(filled.text)
            except Invalid as error:
                found.append(f"{panel.title or 'a panel'}: {error.message} at {error.where}")
    return found


def _read(file: Path) -> Dashboard:
    try:
        return read(file)
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", where=str(file), mend="name a file") from error
