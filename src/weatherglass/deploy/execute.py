"""The hands of a deployment on one host: brings units about, observes them, restarts replicas.

Light: it runs in the agent. What to do was decided in the server (`plan`, `apply`); here every order is checked
against what the host really has, so that an order given twice, or cut short by a crash, does no harm. How
replicas run is behind `runtime.Runtime`; what is remembered is in `memory`.
"""

from __future__ import annotations

import hashlib
import os
import select
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, NotFound, Unavailable, WeatherglassError
from weatherglass.base.time import Clock, SystemClock
from weatherglass.deploy import cgroups, places
from weatherglass.deploy.cgroups import Group
from weatherglass.deploy.container import ContainerRuntime
from weatherglass.deploy.images import Images
from weatherglass.deploy.jobs import Jobs
from weatherglass.deploy.look import Look
from weatherglass.deploy.memory import Memory, Record
from weatherglass.deploy.model import Observed, Unit, UnitId, unit_from_json
from weatherglass.deploy.podman import Podman
from weatherglass.deploy.process import ProcessRuntime
from weatherglass.deploy.runtime import Runtime
from weatherglass.deploy.volumes import Volumes
from weatherglass.engine.protocols import ReplicaSeen, VolumeSeen

Progress = Callable[[float, str], None]
"""Told what is done: the fraction so far, and a line for a person."""

ONCE_TIMEOUT_S = 600.0
HUNG_GRACE_S = 1.0
"""A replica replaced while it cannot answer is not given its whole grace: nobody is served meanwhile."""


class Executor:
    """One host's units. `state` is the agent's folder; `secret(name)` fetches a value (raises NotFound)."""

    def __init__(
        self,
        state: Path,
        host: str,
        *,
        secret: Callable[[str], str],
        clock: Clock | None = None,
        podman: Podman | None = None,
    ) -> None:
        self.host = host
        self._clock: Clock = clock or SystemClock()
        self._memory = Memory(state / "deploy" / "units")
        self._volumes = Volumes(state / "volumes")
        self._groups_root = cgroups.unified()
        self._tag = f"{host}-{hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:8]}"
        self._podman = podman or Podman(state, self._tag)
        self._images = Images(self._podman, state / "deploy" / "images")
        self._runtimes: dict[str, Runtime] = {
            "process": ProcessRuntime(state, self._group),
            "container": ContainerRuntime(self._podman, self._tag, self._group),
        }
        self._jobs = Jobs(
            state / "services", self._volumes, self._images, self._podman, self._runtimes, secret
        )
        self._look = Look(
            self._memory, self._volumes, self._images, self._runtimes, self._group, self._jobs.home, host
        )
        self._lock = threading.RLock()
        self._busy: set[str] = set()
        self._ended: set[tuple[int, int]] = set()

    # --- what is there -----------------------------------------------------------------------------------

    def adopt(self) -> list[str]:
        """After a start of the agent: find again what was started and not yet remembered. Replicas' names."""
        found = []
        with self._lock:
            for record in self._memory:
                if record.unit.kind != "replica" or self._look.alive(record) or record.wanted != "running":
                    continue
                runtime = self._runtimes[self._jobs.runtime_name(record.unit)]
                main = runtime.adopt(record.unit.replica, record.unit.hash) if not runtime.usable() else None
                if main is not None:
                    record.main = main
                    self._group_with(record.unit.replica, main.pid)
                    self._memory.put(record)
                    found.append(record.unit.replica)
        return found

    def observe(self) -> dict[UnitId, Observed]:
        """All that is here of our units, looked at afresh: files' contents, images, strays. Costs a moment."""
        with self._lock:
            self._jobs.rotate()
            return self._look.everything(frozenset(self._busy))

    def replicas(self) -> list[ReplicaSeen]:
        """Every replica as /proc shows it now. Cheap enough for every heartbeat."""
        return self._look.replicas(frozenset(self._busy))

    def volumes(self) -> list[VolumeSeen]:
        """Every sized volume. Cheap."""
        return self._look.volumes()

    def sources(self) -> list[dict[str, Any]]:
        """What there is to collect of each replica, with the paths of this host.

        `[{replica, service, zone, logs: [{glob, format: "plain"|"k8s-file"}], metrics: [target]}]`
        """
        return [self._jobs.sources(record.unit) for record in self._memory if record.unit.kind == "replica"]

    def wait_exit(self, timeout_s: float) -> bool:
        """Sleep until a main process ends, or the time is over; True once for every end, also one in between calls."""
        poll, handles = select.poll(), []
        try:
            for record in self._memory:
                main = record.main
                if main is None or (main.pid, main.ticks) in self._ended:
                    continue
                try:
                    handle = os.pidfd_open(main.pid) if self._look.alive(record) else -1
                except OSError:
                    handle = -1
                if handle < 0:
                    self._ended.add((main.pid, main.ticks))
                    return True
                handles.append(handle)
                poll.register(handle, select.POLLIN)
            poll.poll(timeout_s * 1000)
        finally:
            for handle in handles:
                os.close(handle)
        mains = {(r.main.pid, r.main.ticks): r for r in self._memory if r.main is not None}
        self._ended &= mains.keys()
        fresh = {key for key, r in mains.items() if key not in self._ended and not self._look.alive(r)}
        self._ended |= fresh
        return bool(fresh)

    # --- work --------------------------------------------------------------------------------------------

    def converge(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Bring units about: {"units": [unit…], "remove": [unit id…]}, in that order, removals first.

        Stops at the first that fails. Answers {ok, done: [{unit, did, seconds}], failed: {unit, error, mend} |
        None, observed: {id: …}}. Nothing is done to what is as it should be.
        """
        self._in_time(body)
        steps: list[tuple[str, Unit | None]] = [(unit_id, None) for unit_id in body.get("remove", ())]
        steps += [(unit.id, unit) for unit in map(unit_from_json, body.get("units", ()))]
        done: list[dict[str, Any]] = []
        failed: dict[str, str] | None = None
        for number, (unit_id, unit) in enumerate(steps):
            share = number / len(steps)
            began = self._clock.monotonic()

            def line(text: str, share: float = share) -> None:
                progress(share, text)

            try:
                did = self._remove(unit_id, line) if unit is None else self._make(unit, line)
            except (WeatherglassError, OSError) as error:
                failed = {
                    "unit": unit_id,
                    "error": error.message if isinstance(error, WeatherglassError) else str(error),
                    "mend": getattr(error, "mend", ""),
                }
                line(f"{unit_id} failed: {failed['error']}")
                break
            seconds = self._clock.monotonic() - began
            done.append({"unit": unit_id, "did": did, "seconds": round(seconds, 3)})
        observed = {unit_id: seen.to_json() for unit_id, seen in self.observe().items()}
        return {"ok": failed is None, "done": done, "failed": failed, "observed": observed}

    def act(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """One act: {"action": …} with what it takes (`ACTS`). Raises Invalid, NotFound, Unavailable."""
        action = ACTS.get(str(body.get("action")))
        if action is None:
            raise Invalid(f"no act is called {body.get('action')!r}", mend=f"one of {', '.join(ACTS)}")
        self._in_time(body)
        return action(self, body, progress)

    def _in_time(self, body: Mapping[str, Any]) -> None:
        """An order that waited too long on its stream may undo what was done since."""
        expires_ns = int(body.get("expires_ns", 0))
        if expires_ns and self._clock.now_ns() > expires_ns:
            raise Unavailable("this order came too late and was not carried out", where=f"host/{self.host}")

    def _restart(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        name, began = str(body["replica"]), self._clock.monotonic()
        with self._lock:
            record = self._record(name)
            was = self._look.state(record)
            progress(0.0, f"restarting {name}, which is {was}: {body.get('reason', '')}".rstrip(": "))
            self._stop(record, float(body.get("grace_s", record.unit.spec["stop_grace_s"])))
            self._start(record)
            record.restarts += 1
            self._memory.put(record)
        assert record.main is not None  # started just now
        seconds = round(self._clock.monotonic() - began, 3)
        return {"replica": name, "was": was, "pid": record.main.pid, "seconds": seconds}

    def _act_stop(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        with self._lock:
            record = self._record(str(body["replica"]))
            was = self._look.state(record)
            record.wanted = str(body.get("wanted", "stopped"))
            self._stop(record, float(record.unit.spec["stop_grace_s"]))
        return {"replica": record.unit.replica, "was": was}

    def _act_start(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        with self._lock:
            record = self._record(str(body["replica"]))
            was = self._look.state(record)
            if was != "running":
                self._start(record)
        assert record.main is not None  # it runs
        return {"replica": record.unit.replica, "was": was, "pid": record.main.pid}

    def _act_grow(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        name = str(body["volume"])
        with self._lock:
            record = self._memory.get(f"volume:{name}@{self.host}")
            if record is None:
                raise NotFound(f"there is no volume {name} on {self.host}")
            before, after = self._volumes.grow(name, int(record.unit.spec["max"]), int(body.get("size", 0)))
        return {"volume": name, "before": before, "after": after}

    def _act_remove(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        return {"did": self._remove(str(body["unit"]), lambda text: progress(0.0, text))}

    def _act_observe(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        return {"observed": {unit_id: seen.to_json() for unit_id, seen in self.observe().items()}}

    def _act_down(self, body: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Stop every replica and unmount every volume; what is declared stays remembered."""
        stopped = []
        with self._lock:
            for record in self._dependents_first():
                if self._look.alive(record):
                    progress(0.0, f"stopping {record.unit.replica}")
                    stopped.append(record.unit.replica)
                self._stop(record, float(record.unit.spec["stop_grace_s"]))
            for record in self._memory:
                if record.unit.kind == "volume":
                    self._volumes.release(record.unit.spec["name"])
            self._podman.close()
        return {"stopped": stopped}

    def _dependents_first(self) -> list[Record]:
        left = {r.unit.id: r for r in self._memory if r.unit.kind == "replica"}
        ordered: list[Record] = []
        while left:
            needed = {need for r in left.values() for need in r.unit.needs}
            free = [r for r in left.values() if r.unit.id not in needed] or list(left.values())
            ordered += free
            for record in free:
                del left[record.unit.id]
        return ordered

    # --- making a unit -----------------------------------------------------------------------------------

    def _make(self, unit: Unit, line: Callable[[str], None]) -> str:
        make = MAKE[unit.kind]
        if unit.kind in SLOW:
            return make(self, unit, self._memory.get(unit.id), line)
        with self._lock:
            return make(self, unit, self._memory.get(unit.id), line)

    def _image(self, unit: Unit, record: Record | None, line: Callable[[str], None]) -> str:
        why = self._podman.usable()
        if why:
            did, facts = f"not needed: {why}", {"skipped": why}
        else:
            did, found = self._images.make(unit.spec, line)
            facts = {"digest": found}
        self._memory.put(Record(unit, self._clock.now_ns(), facts=facts))
        return did

    def _volume(self, unit: Unit, record: Record | None, line: Callable[[str], None]) -> str:
        name, size = unit.spec["name"], int(unit.spec["size"])
        if size and not self._volumes.size(name):
            line(f"making volume {name}")
        self._volumes.make(name, size, int(unit.spec["max"]))
        self._memory.put(Record(unit, self._clock.now_ns()))
        return "ready"

    def _file(self, unit: Unit, record: Record | None, line: Callable[[str], None]) -> str:
        target = self._jobs.home(unit.replica).file(str(unit.spec["path"]))
        self._jobs.home(unit.replica).make(self._jobs.user(unit))
        body = self._jobs.text(unit).encode()
        content = hashlib.sha256(body).hexdigest()
        if places.content_hash(target) == content:
            did = "there already"
        else:
            places.write_private(target, body, self._jobs.user(unit))
            did = "written"
        self._memory.put(Record(unit, self._clock.now_ns(), facts={"content": content}))
        return did

    def _once(self, unit: Unit, record: Record | None, line: Callable[[str], None]) -> str:
        if record is not None and record.unit.hash == unit.hash and record.facts.get("exit") == 0:
            return "done already"
        # The intent first: one that was cut short is run again, and jobs are declared to bear that.
        mark = Record(unit, self._clock.now_ns())
        self._memory.put(mark)
        name = str(unit.spec["name"])
        job = self._jobs.job(unit, f"{unit.replica}:{name}")
        self._busy.add(unit.replica)
        try:
            line(f"running {unit.service}'s {name}")
            code, said = self._jobs.runtime(unit).run(job, ONCE_TIMEOUT_S, line)
        finally:
            self._busy.discard(unit.replica)
        mark.facts = {"exit": code, "tail": said}
        self._memory.put(mark)
        if code:
            raise Unavailable(
                f"{unit.service}'s job {name} failed with exit code {code}: {said}",
                where=f"services.{unit.service}.once.{name}",
            )
        return "run"

    def _replica(self, unit: Unit, record: Record | None, line: Callable[[str], None]) -> str:
        restarts = record.restarts if record else 0
        if record is not None and record.main is not None:
            state = self._look.state(record)
            if state == "running" and record.unit.hash == unit.hash:
                if record.wanted != "running":
                    record.wanted = "running"
                    self._memory.put(record)
                return "running already"
            if state != "exited":
                line(f"stopping {unit.replica}")
                grace = float(record.unit.spec["stop_grace_s"]) if state == "running" else HUNG_GRACE_S
                self._stop(record, grace)
                restarts += 1
        fresh = Record(unit, self._clock.now_ns(), restarts=restarts)
        self._memory.put(fresh)
        line(f"starting {unit.replica}")
        self._start(fresh)
        return "started"

    def _start(self, record: Record) -> None:
        """Start a replica whose earlier main process is gone. The record is durable before and after."""
        unit = record.unit
        runtime = self._jobs.runtime(unit)
        group = self._group(unit.replica)
        if group is not None:
            group.kill()  # workers that outlived their main process would hold its port
        if record.main is not None and record.main.container:
            runtime.stop(record.main, None, "SIGKILL", 0.0)
        self._busy.add(unit.replica)
        try:
            record.main, record.exit_code, record.wanted = None, None, "running"
            self._memory.put(record)
            record.main = runtime.start(self._jobs.job(unit, unit.replica))
            record.facts = {"started_ns": self._clock.now_ns()}
        except WeatherglassError as error:
            record.facts = {"error": error.message.splitlines()[0]}
            raise
        finally:
            self._busy.discard(unit.replica)
            self._memory.put(record)

    def _stop(self, record: Record, grace_s: float) -> None:
        """Stop a replica and all it started; its record stays, without exit code to be blamed for."""
        group = self._group(record.unit.replica)
        if record.main is None:
            return
        runtime = self._runtimes[record.main.runtime]
        runtime.stop(record.main, group, str(record.unit.spec["stop_signal"]), grace_s)
        record.exit_code = None
        self._memory.put(record)

    def _remove(self, unit_id: str, line: Callable[[str], None]) -> str:
        with self._lock:
            return self._take_away(unit_id, line)

    def _take_away(self, unit_id: str, line: Callable[[str], None]) -> str:
        if unit_id.startswith("stray:"):
            _, name, handle = unit_id.split(":", 2)
            line(f"collecting {name} {handle[:12]}, which nobody declared")
            self._runtimes[name].collect(f"{name}:{handle}")
            return "collected"
        record = self._memory.get(unit_id)
        if record is None:
            return "gone already"
        unit = record.unit
        line(f"removing {unit_id}")
        if unit.kind == "replica":
            self._stop(record, float(unit.spec["stop_grace_s"]))
        elif unit.kind == "file":
            self._jobs.home(unit.replica).file(str(unit.spec["path"])).unlink(missing_ok=True)
        elif unit.kind == "volume":
            self._volumes.release(str(unit.spec["name"]))
        self._memory.forget(unit_id)
        return "removed"

    def _record(self, replica: str) -> Record:
        record = self._memory.replica(replica)
        if record is None:
            raise NotFound(f"there is no replica {replica} on {self.host}", where=f"replica/{replica}")
        return record

    def _group(self, replica: str) -> Group | None:
        return Group.make(self._groups_root, self._tag, replica)

    def _group_with(self, replica: str, pid: int) -> None:
        group = self._group(replica)
        if group is not None:
            group.take([pid])


ACTS: dict[str, Callable[[Executor, Mapping[str, Any], Progress], dict[str, Any]]] = {
    "restart": Executor._restart,
    "stop": Executor._act_stop,
    "start": Executor._act_start,
    "grow": Executor._act_grow,
    "remove": Executor._act_remove,
    "observe": Executor._act_observe,
    "down": Executor._act_down,
}

SLOW = frozenset({"image", "once"})
"""Kinds that may take minutes: rescues on this host do not wait for them."""

MAKE: dict[str, Callable[[Executor, Unit, Record | None, Callable[[str], None]], str]] = {
    "image": Executor._image,
    "volume": Executor._volume,
    "file": Executor._file,
    "once": Executor._once,
    "replica": Executor._replica,
}
