"""Lines → events → blocks → search. The public names; all but `Framer` are loaded when first asked for.

The agent imports `weatherglass.logs.framing`, so this module itself imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from weatherglass.logs.framing import Framer, RawText

if TYPE_CHECKING:
    from weatherglass.logs.answers import Page
    from weatherglass.logs.parse import parse_event
    from weatherglass.logs.store import Logs, Settings

__all__ = ["Framer", "Logs", "Page", "RawText", "Settings", "parse_event"]

_HOMES = {"Logs": "store", "Settings": "store", "Page": "answers", "parse_event": "parse"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"weatherglass.logs.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
