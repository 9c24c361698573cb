"""How the house builds this room."""

from __future__ import annotations

from weatherglass.engine.plug import Plug
from weatherglass.shares.room import Shares

PLUG = Plug(build=Shares)
