"""Search the events of all services and hosts (the same as without a sub-command)."""

from __future__ import annotations

from weatherglass.cli.verbs.logs import run

__all__ = ["run"]
