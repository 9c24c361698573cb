"""Deciding when to heal: patience, back-off, quarantine. Pure: what to do is `plan`'s, doing it `apply`'s.

A replica fails when a rescue does not bring it back, or when it goes down again soon after one did. A killed one
that is rescued and stays up has not failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from weatherglass.base.time import SECOND_NS
from weatherglass.deploy.model import Change
from weatherglass.engine.protocols import Running

PATIENCE_NS = 15 * SECOND_NS
"""Health, which knows more, is given this long to ask before the reconciler acts by itself."""

STEADY_NS = 20 * SECOND_NS
"""One that goes down again within this time of a rescue was not rescued."""

WINDOW_NS = 600 * SECOND_NS
BACK_OFF_S = (1, 2, 4, 8, 16, 32, 60)
BAD = frozenset({Running.EXITED, Running.STOPPED, Running.ABSENT})


@dataclass(frozen=True, slots=True)
class Story:
    """What happened to one replica lately. Times in ns since the epoch, 0 for never."""

    bad_since_ns: int = 0
    rescued_ns: int = 0
    failures: tuple[int, ...] = ()
    quarantined: bool = False

    def seen(self, state: Running, now_ns: int) -> Story:
        """The story after a look at it."""
        if state is Running.QUARANTINED:
            return replace(self, quarantined=True)
        if state not in BAD:
            return replace(self, bad_since_ns=0) if self.bad_since_ns else self
        if self.bad_since_ns:
            return self
        story = replace(self, bad_since_ns=now_ns)
        if self.rescued_ns and now_ns - self.rescued_ns < STEADY_NS:
            story = story.failed(now_ns)
        return story

    def rescued(self, now_ns: int) -> Story:
        return replace(self, bad_since_ns=0, rescued_ns=now_ns)

    def failed(self, now_ns: int) -> Story:
        kept = tuple(at for at in self.failures if now_ns - at < WINDOW_NS)
        return replace(self, failures=(*kept, now_ns))

    def not_before_ns(self) -> int:
        """Back-off: 1, 2, 4 … 60 s after the last failure."""
        if not self.failures:
            return 0
        wait = BACK_OFF_S[min(len(self.failures), len(BACK_OFF_S)) - 1]
        return self.failures[-1] + wait * SECOND_NS

    def worn_out(self, now_ns: int, quarantine_after: int) -> bool:
        """Whether it failed too often within the window to be tried again."""
        return sum(now_ns - at < WINDOW_NS for at in self.failures) >= quarantine_after

    def due(self, now_ns: int) -> bool:
        """Whether the reconciler may take it up by itself now."""
        if not self.bad_since_ns or self.quarantined:
            return False
        return now_ns >= max(self.bad_since_ns + PATIENCE_NS, self.not_before_ns())


STATE_ONLY = frozenset({"start", "restart", "mount"})


def to_heal(
    changes: tuple[Change, ...],
    stories: Mapping[str, Story],
    acting: frozenset[str],
    now_ns: int,
    settled: bool,
    approve: frozenset[str] = frozenset(),
) -> tuple[Change, ...]:
    """Those changes of a plan that the reconciler makes now.

    Replicas that are down wait for their time; those acted on, quarantined or backing off are left alone, and
    so is their all. Where the last apply failed (`settled` is False) what differs by declaration stays as it is,
    for a person to go on or back; what merely fell over is still put up again. What the site wants a person's yes
    for (`approve`, by remedy) is not done unasked by this way either.
    """
    chosen = []
    for change in changes:
        name, story = change.unit.replica, stories.get(change.unit.replica, Story())
        if name in acting or story.quarantined or now_ns < story.not_before_ns():
            continue
        stray = change.unit.id.startswith("stray:")
        if change.action in ("start", "restart") and ("restart" in approve or not story.due(now_ns)):
            continue
        edited = change.unit.kind == "file" and change.reasons[0].attribute in ("content", "exists")
        if settled or stray or change.action in STATE_ONLY or edited:
            chosen.append(change)
    return tuple(chosen)
