"""What was observed lately, by entity: heartbeats, what hosts see, probes, volumes. Values and bounded memory only.

Nothing is judged here and no clock is read: `at` is monotonic seconds of receipt (order and age rest on it),
`at_ns` the wall's time of the observation (stories are told in it).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from weatherglass.base.ids import EntityId
from weatherglass.base.time import SECOND_NS
from weatherglass.engine.protocols import Heartbeat, ProbeResult, ReplicaSeen, Running, VolumeSeen
from weatherglass.health.signals import Rhythm

PROBES_KEPT = 700
"""Five minutes from two vantage points at one a second, and some."""
WINDOW_S = 10.0
WINDOWS = 5


FULL = 0.95
EASED = 0.03
"""A drop of the share in use, from one reading to the next, after which its old pace tells nothing."""


@dataclass(frozen=True, slots=True)
class Probed:
    """One probe as it was received."""

    at: float
    at_ns: int
    vantage: str
    ok: bool
    seconds: float
    detail: str


@dataclass(slots=True)
class Probes:
    """The last probes of one entity, from every vantage point."""

    kept: deque[Probed] = field(default_factory=lambda: deque(maxlen=PROBES_KEPT))
    latest: dict[str, Probed] = field(default_factory=dict)
    good_in_a_row: int = 0
    bad_in_a_row: dict[str, int] = field(default_factory=dict)
    last_good_ns: int = 0
    first_bad_ns: int = 0  # of the streak that lasts, or of the last one
    before_bad_ns: int = 0  # the last good one before it
    first_good_ns: int = 0  # of the streak that lasts
    ever_good: bool = False
    baseline: deque[float] = field(default_factory=lambda: deque(maxlen=30))  # p95 of healthy windows
    counted_from: float = float("-inf")  # since the last outage ended; what was before is over
    _told: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=64))

    def add(self, at: float, result: ProbeResult) -> None:
        # A heartbeat whose answer was lost comes with the same probes again. Order is that of receipt: a clock
        # that stepped back must not silence a vantage point.
        if (result.vantage, result.at_ns) in self._told:
            return
        self._told.append((result.vantage, result.at_ns))
        one = Probed(at, result.at_ns, result.vantage, result.ok, result.seconds, result.detail)
        self.kept.append(one)
        self.latest[result.vantage] = one
        if result.ok:
            if self.good_in_a_row == 0:
                self.first_good_ns = result.at_ns
            self.good_in_a_row += 1
            self.last_good_ns = max(self.last_good_ns, result.at_ns)
            self.bad_in_a_row[result.vantage] = 0
            self.ever_good = True
        else:
            if not any(self.bad_in_a_row.values()):
                self.first_bad_ns, self.before_bad_ns = result.at_ns, min(self.last_good_ns, result.at_ns)
            self.good_in_a_row = 0
            self.bad_in_a_row[result.vantage] = self.bad_in_a_row.get(result.vantage, 0) + 1

    def since(self, at: float) -> list[Probed]:
        """Those received from `at` on, oldest first."""
        found = []
        for one in reversed(self.kept):
            if one.at < at:
                break
            found.append(one)
        return found[::-1]


@dataclass(slots=True)
class Witnessed:
    """A replica as its host sees it, and since when."""

    seen: ReplicaSeen
    at: float
    at_ns: int
    before_ns: int  # when it was last seen in the state before: the change lies between this and `since_ns`
    since_ns: int
    looks: int = 1  # heartbeats that said the same
    ever_ran: bool = False
    running_ns: int = 0  # since when the process that runs now was seen
    psi: deque[float] = field(default_factory=lambda: deque(maxlen=60))

    def again(self, seen: ReplicaSeen, at: float, at_ns: int) -> bool:
        """Take in the next look; whether it says anything but the same, and calm."""
        changed = (seen.state, seen.pid) != (self.seen.state, self.seen.pid)
        if seen.state != self.seen.state:
            self.before_ns, self.since_ns, self.looks = self.at_ns, at_ns, 0
        if seen.state is Running.RUNNING and (changed or not self.running_ns):
            self.running_ns = at_ns
        self.ever_ran = self.ever_ran or seen.state is Running.RUNNING
        self.seen, self.at, self.at_ns = seen, at, at_ns
        self.looks += 1
        self.psi.append(seen.psi_share)
        return changed or seen.psi_share > 0.1 or max(seen.limits.values(), default=0.0) >= FULL


@dataclass(slots=True)
class Measured:
    """A volume's readings: share in use over time."""

    seen: VolumeSeen
    at: float
    at_ns: int
    before_ns: int
    since_ns: int  # since when it is full, or not
    eased_ns: int = 0  # when it last had more room at once: grown, or cleared
    used: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=300))

    @property
    def share(self) -> float:
        return 1 - self.seen.free_bytes / self.seen.size_bytes if self.seen.size_bytes else 0.0

    @property
    def full(self) -> bool:
        return is_full(self.seen)


def is_full(seen: VolumeSeen) -> bool:
    """At least 95 % in use, or read-only."""
    share = 1 - seen.free_bytes / seen.size_bytes if seen.size_bytes else 0.0
    return share >= FULL or seen.read_only


@dataclass(slots=True)
class Agent:
    """One host's agent: its rhythm, and what it said last."""

    rhythm: Rhythm = field(default_factory=Rhythm)
    boot: str = ""
    seq: int = -1
    at_ns: int = 0
    told: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """All of it, by entity. Fed by one thread at a time."""

    known: frozenset[EntityId] = frozenset()
    agents: dict[str, Agent] = field(default_factory=dict)
    replicas: dict[EntityId, Witnessed] = field(default_factory=dict)
    volumes: dict[EntityId, Measured] = field(default_factory=dict)
    probes: dict[EntityId, Probes] = field(default_factory=dict)
    errors: dict[EntityId, deque[int]] = field(default_factory=dict)  # error lines in each window
    windows: dict[EntityId, deque[tuple[int, bool]]] = field(default_factory=dict)  # (window, bad)
    touched: set[EntityId] = field(default_factory=set)  # those with news since the last look

    def heartbeat(self, beat: Heartbeat, at: float, received_ns: int) -> list[ProbeResult]:
        """Take in a heartbeat, and give the probes that came with it; nothing of one that was resent or overtaken."""
        if f"host/{beat.host}" not in self.known:
            return []
        agent = self.agents.setdefault(beat.host, Agent())
        if beat.boot == agent.boot and beat.seq <= agent.seq:
            return []
        agent.rhythm.beat(at, beat.period_s if 0.1 <= beat.period_s <= 60 else 2.0)
        agent.boot, agent.seq, agent.at_ns, agent.told = beat.boot, beat.seq, received_ns, beat.agent
        # An agent speaks for its own host alone, whatever it sends.
        for replica in beat.replicas:
            if replica.replica.rpartition("@")[2] == beat.host:
                self._replica(_sane_replica(replica), at, received_ns)
        for volume in beat.volumes:
            self._volume(_sane_volume(volume), at, received_ns)
        own = [one for one in beat.probes if one.vantage == f"host/{beat.host}"]
        return self.probed(sorted(own, key=lambda one: one.at_ns), at, received_ns)

    def probed(self, results: Iterable[ProbeResult], at: float, received_ns: int) -> list[ProbeResult]:
        """Take in probes, from whatever vantage point; those of entities that are known."""
        taken = [sane_probe(one, received_ns) for one in results if one.entity in self.known]
        for result in taken:
            name = EntityId(result.entity)
            self.probes.setdefault(name, Probes()).add(at, result)
            self.touched.add(name)
        return taken

    def forget(self, known: Iterable[EntityId], hosts: Iterable[str]) -> None:
        """Only these are known from now on; what is told of others is dropped."""
        kept, agents = frozenset(known), set(hosts)
        self.known = kept
        for table in (self.replicas, self.volumes, self.probes, self.errors, self.windows):
            for gone in [name for name in table if name not in kept]:
                del table[gone]
        for host in [host for host in self.agents if host not in agents]:
            del self.agents[host]

    def _replica(self, seen: ReplicaSeen, at: float, at_ns: int) -> None:
        name = EntityId(f"replica/{seen.replica}")
        if name not in self.known:
            return
        if name in self.replicas:
            if self.replicas[name].again(seen, at, at_ns):
                self.touched.add(name)
            return
        self.touched.add(name)
        runs = seen.state is Running.RUNNING
        self.replicas[name] = Witnessed(
            seen, at, at_ns, at_ns, at_ns, ever_ran=runs, running_ns=at_ns if runs else 0
        )

    def _volume(self, seen: VolumeSeen, at: float, at_ns: int) -> None:
        name = EntityId(f"volume/{seen.volume}")
        if name not in self.known:
            return
        known = self.volumes.get(name)
        if known is None:
            known = self.volumes[name] = Measured(seen, at, at_ns, at_ns, at_ns)
        if is_full(seen) != known.full:
            known.before_ns, known.since_ns = known.at_ns, at_ns
        before, grown = known.share, seen.size_bytes != known.seen.size_bytes
        known.seen, known.at, known.at_ns = seen, at, at_ns
        if grown or known.share < before - EASED:
            known.eased_ns = at_ns
            known.used.clear()
        known.used.append((at, known.share))


SKEW_NS = 3600 * SECOND_NS
"""How far an agent's clock may be off before the time of receipt counts instead."""


def sane_probe(result: ProbeResult, received_ns: int) -> ProbeResult:
    """A probe with an instant that can be and a span that is one: what agents send is not trusted."""
    at_ns = result.at_ns if abs(result.at_ns - received_ns) <= SKEW_NS else received_ns
    seconds = result.seconds if 0 <= result.seconds < SKEW_NS / SECOND_NS else 0.0
    return replace(result, at_ns=at_ns, seconds=seconds, detail=result.detail[:500])


def _sane_replica(seen: ReplicaSeen) -> ReplicaSeen:
    shares = {name: share for name, share in seen.limits.items() if 0 <= share <= 1}
    psi = seen.psi_share if 0 <= seen.psi_share <= 1 else 0.0
    return replace(seen, limits=shares, psi_share=psi)


def _sane_volume(seen: VolumeSeen) -> VolumeSeen:
    size = max(0, seen.size_bytes)
    return replace(seen, size_bytes=size, free_bytes=min(max(0, seen.free_bytes), size))


def window_of(at: float) -> int:
    """The number of the 10 s window an instant lies in."""
    return int(at // WINDOW_S)


def bad_windows(marks: Sequence[tuple[int, bool]], now: float) -> int:
    """How many of the last five windows were bad."""
    first = window_of(now) - WINDOWS + 1
    return sum(bad for window, bad in marks if window >= first)
