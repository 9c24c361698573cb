"""The agent put together: its lanes, who hands what to whom, how it starts and stops.

Lanes (a thread each, every one of them asleep nearly always): pulse, watch, samples, tail, sender, work, and
one for each probe and each kind of work under way. A lane that dies of a bug takes the process down with its
traceback: whoever runs agents starts another, and nothing that was acknowledged is lost.

Services are not the agent's children in the sense that matters: they go on when it stops, and are adopted
when it starts.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote

from weatherglass.agent.collect import Collect
from weatherglass.agent.costs import Costs
from weatherglass.agent.durable import FILES, read_json, write_json
from weatherglass.agent.outbox import Outbox, notes_after
from weatherglass.agent.prober import Prober
from weatherglass.agent.pulse import Eyes, Pulse
from weatherglass.agent.sampler import Sampler
from weatherglass.agent.settings import Settings
from weatherglass.agent.tail import Tailer
from weatherglass.agent.wire import Backoff, Wire
from weatherglass.agent.work import Executor, WorkStream
from weatherglass.base.errors import Unavailable, WeatherglassError
from weatherglass.base.time import Clock, SystemClock
from weatherglass.engine.spool import Spool

JOIN_S = 3.0
WATCH_S = 2.0
SECRET_S = 60.0


class Hands(Eyes, Protocol):
    """Who deploys on this host and sees what runs there: `deploy.execute.Executor`."""

    def adopt(self) -> Any:
        """Take up what ran before this agent did."""
        ...

    def wait_exit(self, timeout_s: float) -> bool:
        """Sleep until a running replica ends, or the time is over; whether one did."""
        ...

    def sources(self) -> list[dict[str, Any]]:
        """What there is to collect of each replica (`collect`)."""
        ...


class Link:
    """What ties an agent to its server: settings, clock, connections, secrets."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._wires: list[Wire] = []
        self._secrets = self.wire()
        self._known: dict[str, tuple[str, float]] = {}

    def wire(self, timeout_s: float = 10.0) -> Wire:
        """A new connection, closed with the others."""
        wire = Wire(self.settings.server, self.settings.token, timeout_s)
        self._wires.append(wire)
        return wire

    def backoff(self) -> Backoff:
        return Backoff(self.settings.pace.retry_first_s, self.settings.pace.retry_limit_s)

    def secret(self, name: str) -> str:
        """A secret's value, asked of the server when it is needed; never kept on disk. Raises as `Wire.request`."""
        path = f"/api/v1/agent/secrets/{quote(name, safe='')}"
        return str(self._secrets.request("GET", path).json()["value"])

    def remembered(self, name: str) -> str:
        """A secret's value, at most `SECRET_S` old; an older one when the server is away. For probes: kept in memory."""
        value, at = self._known.get(name, ("", -SECRET_S))
        if self.clock.monotonic() - at >= SECRET_S:
            try:
                value = self.secret(name)
            except Unavailable:
                if name not in self._known:
                    raise
            self._known[name] = (value, self.clock.monotonic())
        return value

    def interrupt(self) -> None:
        for wire in list(self._wires):
            wire.interrupt()


class Agent:
    """One agent. `run` blocks until `stop` is called from another thread."""

    def __init__(self, link: Link, hands: Hands, kinds: Mapping[str, Executor]) -> None:
        self._link, self._hands = link, hands
        settings, clock = link.settings, link.clock
        self._stop = threading.Event()
        self._failure: WeatherglassError | None = None
        pace, state = settings.pace, settings.state
        FILES.mkdir(state)
        self._costs = Costs()
        folder = state / "spool"
        cursors = state / "cursors.json"
        self.spool = Spool(folder, settings.spool_bytes, FILES)
        notes = notes_after(self.spool, "events", Tailer.spooled(cursors))
        self.outbox = Outbox(
            self.spool, link.wire(), self._spool_id(), link.backoff(), settings.spool_bytes // 2
        )
        self.pulse = Pulse(
            settings.host,
            pace.heartbeat_s,
            pace.look_s,
            hands,
            link.wire(5.0),
            clock,
            self._told,
            self._replica_changed,
        )
        self.prober = Prober(
            state / "probes.json",
            settings.vantage,
            clock,
            link.remembered,
            self.pulse.probed,
            self.pulse.replicas_run,
            pace.probe_s,
            pace.probe_sick_s,
        )
        self.tailer = Tailer(cursors, settings.labels, self.outbox, clock, pace.tail_s, notes)
        self.sampler = Sampler(
            settings.labels, self.outbox, clock, lambda: self.pulse.replicas, self._told, pace.samples_s
        )
        self.collect = Collect(
            state / "collect.json", hands.sources, self.tailer.set_follows, self.sampler.scraper.set_targets
        )
        self.work = WorkStream(
            state,
            {
                "probes": Executor(self.prober.set, "Which probes to make; replaces all."),
                "collect": Executor(self.collect.set, "What to tail and to scrape beside the replicas' own."),
                **kinds,
            },
            link.wire(pace.silence_s),
            link.wire,
            link.backoff,
            self._worked,
        )

    def stop(self) -> None:
        """End `run` soon: what was put is in the spool already, services go on."""
        self._stop.set()
        self.pulse.wake()
        self.outbox.wake()
        self.tailer.wake()
        self._link.interrupt()

    def run(self) -> None:
        """Be the agent until stopped. Raises Unauthenticated or Denied when the server refuses the token."""
        self._hands.adopt()
        self.collect.start()
        self.prober.start()
        lanes: dict[str, Callable[[], None]] = {
            "pulse": lambda: self.pulse.run(self._stop, self._refused),
            "watch": self._watch,
            "samples": lambda: self.sampler.run(self._stop),
            "tail": lambda: self.tailer.run(self._stop),
            "sender": lambda: self.outbox.run(self._stop, self._refused),
            "work": lambda: self.work.run(self._stop, self._refused),
        }
        threads = [
            threading.Thread(target=guarded, args=(body,), name=name, daemon=True)
            for name, body in lanes.items()
        ]
        for thread in threads:
            thread.start()
        self._stop.wait()
        self.prober.stop()
        for thread in threads:
            if thread.name != "watch":  # it sleeps in the kernel and holds nothing
                thread.join(JOIN_S)
        self.work.join(JOIN_S)
        self.spool.close()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        """Beat at the instant a replica ends, and notice replicas that came."""
        while not self._stop.is_set():
            if self._hands.wait_exit(WATCH_S):
                self.pulse.kick()
                self._stop.wait(0.2)  # what ended is soon known as ended; until then this would spin
            self.collect.refresh()

    def _replica_changed(self) -> None:
        self.prober.alarm()

    def _worked(self) -> None:
        self.collect.refresh()
        self.pulse.kick()

    def _refused(self, error: WeatherglassError) -> None:
        self._failure = self._failure or error
        self.stop()

    def _spool_id(self) -> str:
        """Who numbered these offsets: a new spool is a new id, so that the server never takes it for the old one."""
        path = self._link.settings.state / "spool" / "id.json"
        kept = read_json(path)
        if not isinstance(kept, dict):
            kept = {"version": 1, "id": os.urandom(8).hex()}
            write_json(path, kept)
        return str(kept["id"])

    def _told(self) -> dict[str, float]:
        return {
            **self._costs.now(),
            "spool_bytes": float(self.spool.size_bytes),
            "spool_waiting": float(len(self.spool)),
            "spool_dropped": self.spool.dropped,
            "heartbeats": self.pulse.sent,
            "heartbeat_failures": self.pulse.failures,
            "batches": self.outbox.sent,
            "send_failures": self.outbox.failures,
            "refused_batches": self.outbox.refused,
            "events": self.tailer.events,
            "lost_files": self.tailer.lost_files,
            "work_items": self.work.items,
            "collector_errors": self.sampler.failed,
        }


def guarded(body: Callable[[], None]) -> None:
    """Run a lane; what it did not expect ends the process, loudly."""
    ended = False
    try:
        body()
        ended = True
    finally:
        if not ended:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)  # EX_SOFTWARE; the spool and the cursors are durable at any moment
