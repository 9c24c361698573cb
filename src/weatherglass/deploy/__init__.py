"""From a declaration to what runs: `model`, `plan`, `units` (pure), `execute` (in the agent), `apply` (in the server).

Import the submodule that is meant: the agent must not pull in what only the server needs, so nothing is imported here.
"""
