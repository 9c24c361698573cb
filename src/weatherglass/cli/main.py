"""The entry point: finds the verb, loads its module and no other, turns errors into words and exit codes.

A verb is a module in `verbs/`: its name is the verb's, its docstring's first line the help in the list; it holds
`run` (one command) or `app` (a Typer of several), and `PANEL`, under which it is listed. A room to come adds a
file. `agent` and `drill` are programs of their own rooms: the arguments are handed on before anything of this
room is loaded, so that the agent runs where only the base package is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

PROGRAMS = {"agent": "weatherglass.agent"}
"""Verb → the module whose `main(argv) -> int` it is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in PROGRAMS:
        return int(import_module(PROGRAMS[arguments[0]]).main(arguments[1:]))
    try:
        from weatherglass.cli.root import run
    except ImportError as error:
        print(
            f"weatherglass: {error.name} is missing: this machine has the agent alone\n"
            "  → pip install 'weatherglass[server]'",
            file=sys.stderr,
        )
        return 1
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
