"""The command line of the agent and what its exit codes mean. Everything else is `agent.agent`'s.

Exit codes: 0 stopped as asked; 1 its state cannot be read; 2 the command line or a file it names is wrong; 3 the server refuses the token;
4 another agent holds the state folder; 70 a bug (with a traceback).
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weatherglass.agent.settings import Settings, read_token
from weatherglass.base.errors import Conflict, Denied, Invalid, Unauthenticated, WeatherglassError

if TYPE_CHECKING:
    from weatherglass.agent.agent import Agent

EXIT_CODES: dict[type[WeatherglassError], int] = {Invalid: 2, Unauthenticated: 3, Denied: 3, Conflict: 4}


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="weatherglass agent",
        description="Watch this host, do the server's work on it, tell the server. Pushes; listens on nothing.",
        epilog="Exit codes: 0 stopped, 1 unreadable state, 2 wrong arguments, 3 token refused, 4 already running, 70 a bug.",
    )
    out.add_argument(
        "--server", required=True, metavar="URL", help="the server, for example http://10.0.0.1:8700"
    )
    out.add_argument("--token-file", required=True, type=Path, metavar="FILE", help="the agent's token")
    out.add_argument("--state", required=True, type=Path, metavar="DIR", help="the agent's own folder")
    out.add_argument("--host", required=True, metavar="NAME", help="this host's name in the declaration")
    out.add_argument(
        "--site", default="", metavar="NAME", help="the site's name, a label on all that is collected"
    )
    out.add_argument("--zone", default="", metavar="NAME", help="the host's zone, a label too")
    return out


def lock(state: Path) -> int:
    """The descriptor that holds the folder's lock. Raises Conflict when another agent has it."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Not inheritable: services outlive the agent and must not keep its lock.
    held = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise Conflict(
            "another agent runs on this state",
            where=str(state),
            mend="stop it, or give this one its own --state",
        ) from error
    return held


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; returns the exit code."""
    asked = parser().parse_args(argv)
    asked.state = asked.state.absolute()  # what it runs may have a working folder of its own
    try:
        held = lock(asked.state)
        try:
            settings = Settings(
                asked.server, read_token(asked.token_file), asked.state, asked.host, asked.site, asked.zone
            )
            _run(settings)
        finally:
            os.close(held)
    except (Unauthenticated, Denied) as error:
        print(
            f"weatherglass agent: the server refuses this agent's token: {error.message}\n"
            f"  → weatherglass token create --role agent --host {asked.host}, into {asked.token_file}",
            file=sys.stderr,
        )
        return EXIT_CODES[type(error)]
    except WeatherglassError as error:
        print(f"weatherglass agent: {error}", file=sys.stderr)
        return EXIT_CODES.get(type(error), 1)
    return 0


def builder() -> Callable[[Settings], Agent]:
    """`build.build`, loaded here and not above: `--help` and wrong arguments need not load the agent."""
    # httpx (deploy speaks to podman through it) loads its command line where click and rich happen to be
    # installed: 5.5 MB of PSS and 90 modules that nobody calls. To an ImportError it has an answer of its own.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    from weatherglass.agent.build import build

    return build


def _run(settings: Settings) -> None:
    agent = builder()(settings)
    heard, tell = os.pipe2(os.O_CLOEXEC)

    def on_signal(*_: Any) -> None:
        # A handler runs in the middle of anything, a lock held perhaps: it may write a byte and no more.
        os.write(tell, b"!")

    def stop_when_told() -> None:
        os.read(heard, 1)
        agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    threading.Thread(target=stop_when_told, name="signals", daemon=True).start()
    agent.run()
