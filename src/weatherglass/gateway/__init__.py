"""HTTP, and only HTTP: one module a protocol turns a request into a call on a room, its answer into bytes."""

from weatherglass.gateway.app import create_app
from weatherglass.gateway.rooms import Absent, Rooms

__all__ = ["Absent", "Rooms", "create_app"]
