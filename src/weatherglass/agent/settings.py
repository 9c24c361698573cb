"""What an agent is told at its start: who it is, where its server and its state are, how often it does what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from weatherglass.base.errors import Invalid


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between rounds. Tests compress them; nobody else needs to."""

    heartbeat_s: float = 2.0
    look_s: float = 1.0  # between looks at the replicas; a change is told at once
    samples_s: float = 5.0
    tail_s: float = 1.0
    probe_s: float = 5.0
    probe_sick_s: float = 1.0
    silence_s: float = 15.0  # a work stream without even a keep-alive for this long is dead
    retry_first_s: float = 0.5
    retry_limit_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One agent. `state` is its own folder; nobody else writes there."""

    server: str
    token: str = field(repr=False)
    state: Path
    host: str
    site: str = ""
    zone: str = ""
    pace: Pace = Pace()
    spool_bytes: int = 1 << 30

    @property
    def labels(self) -> dict[str, str]:
        """What the agent attaches to all that it collects (docs/site.md)."""
        own = {"site": self.site, "host": self.host, "zone": self.zone}
        return {name: value for name, value in own.items() if value}

    @property
    def vantage(self) -> str:
        """Where its probes are made from."""
        return f"host/{self.host}"


def read_token(path: Path) -> str:
    """The token in a file. Raises Invalid; never shows what it read."""
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise Invalid(f"the token cannot be read: {reason}", where=str(path)) from error
    if not token or not token.isprintable() or " " in token:
        raise Invalid(
            "this file holds no token",
            where=str(path),
            mend="weatherglass token create --role agent --host NAME > FILE",
        )
    return token
