"""Exit codes, in one table: what a script may rely on. `weatherglass --help` prints it."""

from __future__ import annotations

from weatherglass.base.errors import (
    Conflict,
    Denied,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
    WeatherglassError,
)

OK = 0
FAILED = 1
CHANGES = 2
REFUSED = 3
CONFLICT = 4
NO_SERVER = 5
USAGE = 64
BUG = 70
INTERRUPTED = 130

EXITS: dict[int, str] = {
    OK: "done, or nothing to change",
    FAILED: "it failed, or something is wrong with what was given",
    CHANGES: "plan: there are changes",
    REFUSED: "the token is missing, unknown, or may not do this",
    CONFLICT: "the world has moved on: a stale plan, a state that another holds",
    NO_SERVER: "no server answers, or it cannot now",
    USAGE: "the command line itself is wrong",
    BUG: "a bug in weatherglass",
    INTERRUPTED: "stopped by Ctrl-C",
}

_CODES: dict[type[WeatherglassError], int] = {
    Invalid: FAILED,
    NotFound: FAILED,
    Unauthenticated: REFUSED,
    Denied: REFUSED,
    Conflict: CONFLICT,
    Unavailable: NO_SERVER,
}


def code_of(error: WeatherglassError) -> int:
    """The exit code of an error, by its nearest class."""
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), FAILED)
