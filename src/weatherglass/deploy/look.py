"""Looking at a host: what is there of our units, and how replicas and volumes fare. Nothing is changed here.

`everything` is thorough and may ask podman; `replicas` and `volumes` read /proc alone, for every heartbeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from weatherglass.base.errors import WeatherglassError
from weatherglass.deploy import cgroups, proc
from weatherglass.deploy.cgroups import Group
from weatherglass.deploy.images import Images
from weatherglass.deploy.memory import Main, Memory, Record
from weatherglass.deploy.model import Observed, UnitId
from weatherglass.deploy.places import Home, content_hash
from weatherglass.deploy.runtime import Runtime
from weatherglass.deploy.volumes import Volumes
from weatherglass.engine.protocols import ReplicaSeen, Running, VolumeSeen


class Look:
    """The eyes of an executor; it shares the executor's memory and runtimes."""

    def __init__(
        self,
        memory: Memory,
        volumes: Volumes,
        images: Images,
        runtimes: Mapping[str, Runtime],
        group: Callable[[str], Group | None],
        home: Callable[[str], Home],
        host: str,
    ) -> None:
        self._memory, self._volumes, self._images, self._runtimes = memory, volumes, images, runtimes
        self._group, self._home, self._host = group, home, host
        self._boot, self._total = proc.boot_id(), proc.memory_total()

    # --- one replica -------------------------------------------------------------------------------------

    def alive(self, record: Record) -> proc.Stat | None:
        """Its main process, unless that is gone. A record of another boot names nobody."""
        main = record.main
        return proc.alive(main.pid, main.ticks) if main is not None and main.boot == self._boot else None

    def state(self, record: Record) -> str:
        """`running`, `stopped` (exists, cannot answer) or `exited`."""
        seen = self.alive(record)
        if seen is None:
            return "exited"
        return "stopped" if self._still(record, seen) else "running"

    def _still(self, record: Record, seen: proc.Stat) -> bool:
        group = self._group(record.unit.replica)
        assert record.main is not None  # it is alive
        frozen = group is not None and group.frozen()
        return seen.state in "Tt" or frozen or cgroups.frozen_v1(record.main.pid) is not None

    def exit_code(self, record: Record) -> int | None:
        """How it ended; kept in the record once known."""
        if record.exit_code is None and record.main is not None and record.main.pid:
            record.exit_code = self._runtimes[record.main.runtime].exit_code(record.main)
        return record.exit_code

    def mains(self) -> dict[str, Main]:
        """By replica, each main process that is alive, and each container, which stays when it has ended."""
        remembered = {r.unit.replica: r.main for r in self._memory if r.main is not None}
        return {
            name: main
            for name, main in remembered.items()
            if main.container or (main.boot == self._boot and proc.alive(main.pid, main.ticks) is not None)
        }

    # --- all of it ---------------------------------------------------------------------------------------

    def everything(self, busy: frozenset[str]) -> dict[UnitId, Observed]:
        """Every unit remembered, as it is now, and every stray. One that was never finished is not there."""
        found: dict[UnitId, Observed] = {}
        images: dict[str, str] | None = None
        for record in self._memory:
            unit, state, detail = record.unit, "present", ""
            spec = dict(unit.spec)
            if unit.kind == "replica":
                if record.main is None:
                    continue
                state = self.state(record)
                detail = self._detail(record, state)
            elif unit.kind == "file":
                held = content_hash(self._home(unit.replica).file(unit.spec["path"]))
                if held is None:
                    continue
                if held != record.facts["content"]:
                    state, detail = "drifted", "edited by hand"
            elif unit.kind == "once":
                if record.facts.get("exit") != 0:
                    state, detail = "failed", _outcome(record)
            elif unit.kind == "volume":
                if not self._volumes.path(unit.spec["name"]).is_dir():
                    continue
                spec["size"] = self._volumes.size(unit.spec["name"])
                mounted = not spec["size"] or self._volumes.mounted(unit.spec["name"]) is not None
                state = "mounted" if mounted else "unmounted"
            elif not record.facts.get("skipped"):
                if images is None:
                    images = self._images.all()
                held = images.get(str(unit.spec["reference"]))
                if held is None:
                    continue
                if held != record.facts["digest"]:
                    detail = "retagged"
                    spec["digest"] = held
            found[unit.id] = Observed(
                unit.id,
                unit.kind,
                unit.host,
                unit.hash,
                state,
                spec,
                unit.service,
                unit.replica,
                unit.needs,
                detail,
            )
        return found | self._strays(busy)

    def _strays(self, busy: frozenset[str]) -> dict[UnitId, Observed]:
        known, found = self.mains(), {}
        for runtime in self._runtimes.values():
            try:
                strays = runtime.strays(known)
            except WeatherglassError:
                if not runtime.usable():
                    raise
                continue
            for handle, (replica, pid) in strays.items():
                if replica.partition(":")[0] in busy:
                    continue
                unit_id = UnitId(f"stray:{handle}")
                found[unit_id] = Observed(
                    unit_id, "replica", self._host, "", "orphan", {}, "", replica, (), f"pid {pid}"
                )
        return found

    def _detail(self, record: Record, state: str) -> str:
        if state == "exited":
            code = self.exit_code(record)
            return "exited" if code is None else f"exited with {code}"
        return "stopped (cannot answer)" if state == "stopped" else ""

    # --- for every heartbeat -----------------------------------------------------------------------------

    def replicas(self, busy: frozenset[str]) -> list[ReplicaSeen]:
        return [self._replica(r, busy) for r in self._memory if r.unit.kind == "replica"]

    def _replica(self, record: Record, busy: frozenset[str]) -> ReplicaSeen:
        name, main, seen = record.unit.replica, record.main, self.alive(record)
        if seen is None or main is None:
            state = Running.EXITED if main is not None else Running.ABSENT
            detail = record.facts.get("error", "")
            if name in busy:
                state = Running.STARTING
            elif record.wanted == "quarantined":
                state = Running.QUARANTINED
            elif record.wanted == "stopped":
                detail = "stopped on request"
            code = self.exit_code(record)
            return ReplicaSeen(name, state, exit_code=code, restarts=record.restarts, detail=detail)
        group = self._group(name)
        state = Running.STARTING if name in busy else Running.RUNNING
        if self._still(record, seen):
            state = Running.STOPPED
        return ReplicaSeen(
            name,
            state,
            pid=main.pid,
            started_ns=int(record.facts.get("started_ns", 0)),
            restarts=record.restarts,
            psi_share=group.pressure() if group else 0.0,
            limits=self._limits(main, group),
        )

    def _limits(self, main: Main, group: Group | None) -> dict[str, float]:
        pids = (group.pids() if group else []) or [main.pid]
        limits = {}
        used, most = proc.descriptors(main.pid)
        if most:
            limits["fd"] = round(used / most, 4)
        if self._total:
            limits["memory"] = round(sum(map(proc.resident, pids)) / self._total, 4)
        threads, allowed = proc.threads(pids), proc.pids_allowed(main.pid)
        if allowed:
            limits["pids"] = round(threads / allowed, 4)
        return limits

    def volumes(self) -> list[VolumeSeen]:
        users: dict[str, list[str]] = {}
        for record in self._memory:
            if record.unit.kind == "replica":
                for name in record.unit.spec["volumes"].values():
                    users.setdefault(name, []).append(record.unit.replica)
        seen = []
        for record in self._memory:
            unit = record.unit
            if unit.kind != "volume":
                continue
            name = str(unit.spec["name"])
            try:
                size, free, read_only = self._volumes.free(name)
            except OSError:
                continue
            seen.append(VolumeSeen(name, size, free, read_only, tuple(users.get(name, ()))))
        return seen


def _outcome(record: Record) -> str:
    code = record.facts.get("exit")
    return "never finished" if code is None else f"failed with exit code {code}"
