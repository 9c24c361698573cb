"""Serves the portal over fake rooms: the real gateway's door and headers before it, a real port, a real browser.

`python -m portal.serving [rich|empty|large] [PORT]` from `tests/` serves until interrupted; sign in as mira.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from portal import fake_cloud
from portal.fake_cloud import FakeRooms
from weatherglass.gateway.app import create_app
from weatherglass.portal import mount


def application(rooms: FakeRooms) -> FastAPI:
    """The gateway's application with the portal mounted, as `house` does it."""
    app = create_app(rooms)  # type: ignore[arg-type]
    mount(app, rooms)
    return app


@contextlib.contextmanager
def served(rooms: FakeRooms, port: int = 0) -> Iterator[str]:
    """The address of a running server; stopped and joined on leaving."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(application(rooms), log_level="warning", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        rooms.stopping.set()
        server.should_exit = True
        thread.join(5)
        listener.close()


if __name__ == "__main__":
    which = sys.argv[1] if len(sys.argv) > 1 else "rich"
    with served(getattr(fake_cloud, which)(), int(sys.argv[2]) if len(sys.argv) > 2 else 8710) as address:
        print(address, flush=True)
        threading.Event().wait()
