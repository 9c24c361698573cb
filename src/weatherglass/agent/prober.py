"""When which probe is made: every 5 s while all is well, every second while a probe fails or a replica does not run.

Each probe has a thread of its own, so one that hangs until its time-out delays no other. What is probed comes
from the server as work of kind "probes" and is kept on disk, so that an agent started without its server
probes what it probed before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from weatherglass.agent.durable import read_json, write_json
from weatherglass.agent.probes import PROBES, Secret, probe
from weatherglass.base.errors import Invalid, Problem, Unavailable
from weatherglass.base.time import Clock
from weatherglass.engine.protocols import ProbeResult

SPARED = 4
"""While others fail, a good answer is asked for again only after this many times its span."""
LIMIT = 64
"""Probes of one agent: each is a thread."""


def check_specs(specs: Sequence[Any]) -> None:
    """Raises Invalid with everything that is wrong with a list of probe specs."""
    problems = []
    for place, spec in enumerate(specs):
        where = f"probes[{place}]"
        if not isinstance(spec, Mapping):
            problems.append(Problem("not an object", where))
        elif not isinstance(spec.get("entity"), str) or "/" not in spec["entity"]:
            problems.append(Problem("has no entity", where, "for example service/keystone"))
        elif spec.get("kind") not in PROBES:
            problems.append(
                Problem(f"unknown kind {spec.get('kind')!r}", where, f"one of {', '.join(PROBES)}")
            )
    if len(specs) > LIMIT:
        problems.append(Problem(f"{len(specs)} probes; an agent makes at most {LIMIT}", "probes"))
    if problems:
        raise Invalid("these probes cannot be made", problems=problems)


class _Slot:
    """One probe in its own thread."""

    def __init__(self, spec: Mapping[str, Any], prober: Prober) -> None:
        self.spec, self._prober = spec, prober
        self.gone = threading.Event()
        self.soon = threading.Event()
        self.ok = True
        threading.Thread(target=self._run, name=f"probe-{spec['entity']}", daemon=True).start()

    def _run(self) -> None:
        while not self.gone.is_set():
            began = self._prober.clock.monotonic()
            self._prober.once(self)
            self.soon.clear()
            spent = self._prober.clock.monotonic() - began
            self.soon.wait(max(0.05, self._prober.period(spent if self.ok else 0.0) - spent))


class Prober:
    """Makes the probes it is given and tells each result to `report(result, urgent)`."""

    def __init__(
        self,
        path: Path,
        vantage: str,
        clock: Clock,
        secret: Secret,
        report: Callable[[ProbeResult, bool], None],
        replicas_run: Callable[[], bool],
        calm_s: float,
        sick_s: float,
    ) -> None:
        """`replicas_run`: whether every replica of this host runs; one that does not is reason enough to hurry."""
        self.clock = clock
        self._replicas_run = replicas_run
        self._path, self._vantage, self._secret, self._report = path, vantage, secret, report
        self._calm, self._sick = calm_s, sick_s
        self._slots: list[_Slot] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Take up what was probed before the last stop."""
        kept = read_json(self._path)
        if isinstance(kept, dict):
            self._replace(kept["probes"])

    def stop(self) -> None:
        """Let every slot end after the probe it is making; threads are daemons and are not waited for."""
        self._replace(())

    def set(self, body: Mapping[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
        """The executor of work of kind "probes": body `{"probes": [spec, …]}` replaces all. Raises Invalid."""
        specs = body.get("probes")
        if not isinstance(specs, list):
            raise Invalid("work of kind probes needs a list", where="probes")
        check_specs(specs)
        write_json(self._path, {"version": 1, "probes": specs})
        self._replace(specs)
        return {"probes": len(specs)}

    def period(self, took: float = 0.0) -> float:
        """Seconds between two probes of one slot, as things stand; `took` is what its good answer took.

        What answers slowly is spared: asking must not be what ails it.
        """
        with self._lock:
            well = all(slot.ok for slot in self._slots)
        if well and self._replicas_run():
            return self._calm
        return min(self._calm, max(self._sick, SPARED * took))

    def alarm(self) -> None:
        """Something changed: make every probe now."""
        with self._lock:
            slots = list(self._slots)
        for slot in slots:
            slot.soon.set()

    def once(self, slot: _Slot) -> None:
        """Make a slot's probe and report it; the first bad one, and the first good one after, at once."""
        spec = slot.spec
        try:
            result = probe(spec, self._vantage, spec["entity"], self.clock.now_ns(), self._secret)
        except Unavailable:
            return  # no secret without the server: nothing is known, which is not a failure of the probed
        except Invalid as error:
            result = ProbeResult(
                spec["entity"],
                self._vantage,
                self.clock.now_ns(),
                False,
                0.0,
                f"cannot be made: {error.message}",
            )
        if slot.gone.is_set():
            return
        turned, slot.ok = slot.ok != result.ok, result.ok
        self._report(result, turned or not result.ok)
        if turned and not result.ok:
            self.alarm()

    def _replace(self, specs: Sequence[Mapping[str, Any]]) -> None:
        """Slots whose spec stays keep running: their rhythm and their state are not lost by a new list."""
        with self._lock:
            kept, old = [], list(self._slots)
            for spec in specs:
                same = next((slot for slot in old if slot.spec == spec), None)
                if same is not None:
                    old.remove(same)
                kept.append(same or _Slot(spec, self))
            self._slots = kept
        for slot in old:
            slot.gone.set()
            slot.soon.set()
