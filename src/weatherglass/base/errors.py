"""The error tree. Raised where a thing is known to be wrong; put into a protocol's words in `gateway/` alone.

Every error says what is wrong (`message`), where (`file:line.field`, a JSON path, an entity) and how to mend
it. Several wrong things found at once travel together in one `Invalid` with `problems`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where and how to mend it."""

    message: str
    where: str = ""
    mend: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  → {self.mend}" if self.mend else text


class WeatherglassError(Exception):
    """The root of every error of ours. `code` is stable and short; programs match on it, people read the rest."""

    code = "error"

    def __init__(
        self, message: str, *, where: str = "", mend: str = "", problems: Iterable[Problem] = ()
    ) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems) or (Problem(message, where, mend),)
        self.message, self.where, self.mend = message, where, mend
        super().__init__(message)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Invalid(WeatherglassError):
    """What was given cannot be accepted. `where` points at it (file:line.field, or a JSON path); `mend` says how."""

    code = "invalid"


class NotFound(WeatherglassError):
    """What was asked for is not there."""

    code = "not-found"


class Conflict(WeatherglassError):
    """The world has moved on: a stale plan, a taken name, a lock held by another."""

    code = "conflict"


class Unauthenticated(WeatherglassError):
    """No token, or one that does not hold (unknown, expired, revoked)."""

    code = "unauthenticated"


class Denied(WeatherglassError):
    """Known who asks; not allowed to."""

    code = "denied"


class TooLarge(WeatherglassError):
    """A body, a decompressed body or an answer is over its bound."""

    code = "too-large"


class LimitExceeded(WeatherglassError):
    """A tenant's limit, or one of the house's, is reached."""

    code = "limit"


class Unavailable(WeatherglassError):
    """Cannot be done now (store full, peer gone, stopping); trying again later may work."""

    code = "unavailable"


class Corrupt(WeatherglassError):
    """Stored bytes do not check out. Says which file and offset; nothing is guessed around it."""

    code = "corrupt"
