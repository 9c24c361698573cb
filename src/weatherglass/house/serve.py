"""HTTP served on one socket by one event loop, in the foreground, until a signal."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
import uvloop
from fastapi import FastAPI

from weatherglass.base.errors import Invalid, WeatherglassError

TURN_S = 0.0005
"""How long a thread may keep the interpreter while another waits: a small write goes through four such waits, and
with Python's 5 ms each a large query beside it would make it late."""

GRACE_S = 1
"""How long open requests may still take once asked to stop; streams watch `stopping` and end by themselves."""


def listen(address: str) -> socket.socket:
    """A bound socket for `ADDR:PORT` or `[V6]:PORT`. No port is shared: a second server is told so at once."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdigit() or int(port) > 65535:
        raise Invalid(f"{address!r} is not an address to listen on", mend="write one like 127.0.0.1:8700")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol named, or asyncio does not set TCP_NODELAY and small answers wait 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, int(port)))
        bound.listen(512)
    except OSError as error:
        bound.close()
        raise Invalid(
            f"cannot listen on {address}: {error.strerror}",
            mend="choose another with --listen, for example 127.0.0.1:8701",
        ) from error
    bound.setblocking(False)
    return bound


def url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, stopping: threading.Event, serving: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._stopping, self._serving = stopping, serving
        self.failed: WeatherglassError | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is not raised again afterwards: the house still has rooms to stop."""
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()  # streams end before uvicorn waits for them
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        try:
            self._serving()
        except WeatherglassError as error:
            # Kept until the loop has ended: raised here it would come with tracebacks of uvicorn's own tasks.
            self.failed, self.should_exit = error, True


def serve(app: FastAPI, bound: socket.socket, stopping: threading.Event, serving: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM. `serving` is called once requests are answered; what it raises ends this."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_S
    )
    server = _Server(config, stopping, serving)
    sys.setswitchinterval(TURN_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[bound]))
    if server.failed:
        raise server.failed
