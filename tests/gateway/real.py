"""A real uvicorn on a free port in a thread, as the house runs it; stopped as the house stops it."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import uvicorn

from gateway.fakes import wait_until


class Server:
    """Serves `app`; `stop` sets the house's stopping event, then tells uvicorn to exit, and times that."""

    def __init__(self, app: Any, stopping: threading.Event) -> None:
        self._stopping = stopping
        # asyncio sets TCP_NODELAY only where the protocol is named; without it a kept-alive answer takes 40 ms
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started)

    def stop(self) -> float:
        """Seconds until it has exited."""
        begin = time.monotonic()
        self._stopping.set()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        return time.monotonic() - begin
