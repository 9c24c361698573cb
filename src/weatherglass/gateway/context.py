"""What every protocol module is handed: the rooms, the pools their calls run in, the watcher of stopping."""

from __future__ import annotations

from dataclasses import dataclass

from weatherglass.engine.priority import READS
from weatherglass.gateway.pool import Pool
from weatherglass.gateway.rooms import Rooms
from weatherglass.gateway.streams import Closing

CALLS = 16  # room calls at once
STREAMS = 256  # open streams that wait in a room
WRITES = 8  # writes at once: they wait for an fsync together (group commit)


@dataclass(frozen=True, slots=True)
class Context:
    rooms: Rooms
    closing: Closing
    pool: Pool
    streams: Pool
    writes: Pool

    @classmethod
    def of(cls, rooms: Rooms) -> Context:
        return cls(rooms, Closing(rooms.stopping), Pool(CALLS, READS), Pool(STREAMS), Pool(WRITES))
