"""Heartbeats: what the agent says of its host every two seconds, and at once when something changed.

A heartbeat is about now: one that does not arrive is not kept. Probe results are kept until a heartbeat with
them was acknowledged, the newest `PROBES_KEPT` of them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from weatherglass.agent.wire import Wire
from weatherglass.base.errors import Denied, Unauthenticated, WeatherglassError
from weatherglass.base.time import Clock
from weatherglass.engine.protocols import Heartbeat, ProbeResult, ReplicaSeen, Running, VolumeSeen

PROBES_KEPT = 600


class Eyes(Protocol):
    """Who sees the replicas and volumes of this host: `deploy.execute.Executor`."""

    def replicas(self) -> list[ReplicaSeen]: ...

    def volumes(self) -> list[VolumeSeen]: ...


def encode(heartbeat: Heartbeat) -> bytes:
    """The JSON of a heartbeat."""
    return json.dumps(dataclasses.asdict(heartbeat), separators=(",", ":")).encode()


class Pulse:
    """Beats. `run` is its own thread's; `kick` and `probed` come from any."""

    def __init__(
        self,
        host: str,
        period_s: float,
        look_s: float,
        eyes: Eyes,
        wire: Wire,
        clock: Clock,
        costs: Callable[[], Mapping[str, float]],
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when a replica changed its state or its process."""
        self._changed = changed
        self._host, self._period, self._look = host, period_s, look_s
        self._eyes, self._wire, self._clock, self._costs = eyes, wire, clock, costs
        self._boot = os.urandom(8).hex()
        self._seq = 0
        self._probes: deque[ProbeResult] = deque(maxlen=PROBES_KEPT)
        self._kick = threading.Event()
        self.replicas: tuple[ReplicaSeen, ...] = ()
        self.volumes: tuple[VolumeSeen, ...] = ()
        self.sent = 0
        self.failures = 0
        self._away = False

    def kick(self) -> None:
        """Beat now."""
        self._kick.set()

    def probed(self, result: ProbeResult, urgent: bool) -> None:
        """Take a probe's result along; `urgent` ones do not wait for the next beat."""
        self._probes.append(result)
        if urgent:
            self._kick.set()

    def look(self) -> bool:
        """See the replicas again; whether one changed its state or its process."""
        before = {seen.replica: (seen.state, seen.pid) for seen in self.replicas}
        self.replicas = tuple(self._eyes.replicas())
        return before != {seen.replica: (seen.state, seen.pid) for seen in self.replicas}

    def replicas_run(self) -> bool:
        """Whether every replica of this host ran at the last look."""
        return all(seen.state is Running.RUNNING for seen in self.replicas)

    def beat(self) -> None:
        """Send one heartbeat. Raises as `Wire.request`."""
        self._seq += 1
        self.volumes = tuple(self._eyes.volumes())
        taken = tuple(self._probes)
        heartbeat = Heartbeat(
            host=self._host,
            boot=self._boot,
            seq=self._seq,
            sent_ns=self._clock.now_ns(),
            period_s=self._period,
            replicas=self.replicas,
            volumes=self.volumes,
            probes=taken,
            agent=dict(self._costs()),
        )
        self._wire.request(
            "POST", "/api/v1/agent/heartbeat", encode(heartbeat), {"Content-Type": "application/json"}
        )
        self.sent += 1
        # Results that came meanwhile stand at the right end; full, the deque has itself let go of the left.
        arrived = set(map(id, taken))
        while self._probes and id(self._probes[0]) in arrived:
            self._probes.popleft()

    def _turn(self, failure: str) -> None:
        """Say when the server went away and when it is back, once each: for who reads the agent's own output."""
        if failure and not self._away:
            print(
                f"weatherglass agent: {failure}; trying again, nothing is lost", file=sys.stderr, flush=True
            )
        elif self._away and not failure:
            print("weatherglass agent: the server answers again", file=sys.stderr, flush=True)
        self._away = bool(failure)

    def run(self, stop: threading.Event, refused: Callable[[WeatherglassError], None]) -> None:
        """Beat until `stop`. While the server is away each beat fails by itself; the next one tries again."""
        due = self._clock.monotonic()
        while not stop.is_set():
            changed = self.look()
            if changed:
                self._changed()
            kicked = self._kick.is_set()
            self._kick.clear()
            now = self._clock.monotonic()
            if changed or kicked or now >= due:
                # Even intervals: φ is computed from them. A beat out of turn does not move the next one.
                while due <= now:
                    due += self._period
                try:
                    self.beat()
                except (Unauthenticated, Denied) as error:
                    refused(error)
                    return
                except WeatherglassError as error:
                    self.failures += 1
                    self._turn(error.message)
                else:
                    self._turn("")
            self._kick.wait(max(0.0, min(self._look, due - self._clock.monotonic())))

    def wake(self) -> None:
        self._kick.set()
