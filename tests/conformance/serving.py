"""Servers of the metrics part alone, in this process: one a test, each with an empty store."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from weatherglass.gateway.app import create_app
from weatherglass.house import tokens
from weatherglass.house.alone import Alone, Asked
from weatherglass.house.serve import listen


@contextmanager
def served(
    *, no_auth: bool = True, bare: bool = True, gnocchi_auth: str = "basic", state: Path | None = None
) -> Iterator[tuple[int, str, Alone]]:
    """(port, an administrator's token, the house) of what `metrics serve` serves."""
    with tempfile.TemporaryDirectory() as folder:
        place = state or Path(folder) / "state"
        place.mkdir(exist_ok=True)
        bound = listen("127.0.0.1:0")
        house = Alone(Asked(frozenset({"metrics"}), place, no_auth, bare, gnocchi_auth))
        token = ""
        if not no_auth:
            tokens.admin(house.identity, place)
            token = (place / "token").read_text().strip()
        server = uvicorn.Server(uvicorn.Config(create_app(house.rooms), log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        house.start()
        thread.start()
        try:
            yield bound.getsockname()[1], token, house
        finally:
            house.stopping.set()
            server.should_exit = True
            thread.join()
            house.stop()
