"""Drills: break something on purpose, then hold what the house saw, said and did against what is expected of it.

A program of its own that speaks HTTP alone: it knows the house as any client does, so it can be run from anywhere
against any house, and a drill that passes says something about what users get. What it injects, the agents do
(`POST /api/v1/faults`), on what is their own. Nothing of another room is imported here, `base` excepted.

`drill.py` is the frame (what a drill is, the bounds as data), `drills/` the table of them (one module each),
`target.py` finds whom to hit, `watch.py` follows over HTTP, `verdict.py` judges (pure), `report.py` tells.
"""

from weatherglass.drill.drill import Drill, Expect, Injected
from weatherglass.drill.drills import DRILLS

__all__ = ["DRILLS", "Drill", "Expect", "Injected"]
