"""The table of drills, one module each with a `DRILL`; found by listing this package. A room to come adds a file."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from weatherglass.drill.drill import Drill


def _all() -> dict[str, Drill]:
    found = [import_module(f"{__name__}.{module.name}").DRILL for module in pkgutil.iter_modules(__path__)]
    return {drill.name: drill for drill in sorted(found, key=lambda drill: str(drill.name))}


DRILLS: dict[str, Drill] = _all()
"""Every drill, by its name."""
