"""A control group for each replica: all of its processes in one place, with their pressure (PSI), freezer and kill.

Groups live in the unified hierarchy (`/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` beside version 1). Where it
cannot be written nothing fails: groups are then `None`, and callers fall back to sessions and descendants.
"""

from __future__ import annotations

import os
from pathlib import Path

from weatherglass.deploy import proc

PRESSURES = ("cpu.pressure", "io.pressure", "memory.pressure")


def unified() -> Path | None:
    """Where the unified hierarchy is mounted, None when it cannot be written."""
    for root in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        if (root / "cgroup.controllers").exists():
            return root if os.access(root, os.W_OK) else None
    return None


class Group:
    """One replica's group. `make` gives None where there are none to be had."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, root: Path | None, site: str, replica: str) -> Group | None:
        if root is None:
            return None
        path = root / "weatherglass" / site / replica
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return cls(path)

    def take(self, pids: list[int]) -> None:
        """Move processes in, with their children so far; one that is gone by now is no matter."""
        for pid in pids:
            for each in (pid, *proc.descendants(pid)):
                try:
                    (self.path / "cgroup.procs").write_text(str(each))
                except OSError:
                    continue

    def pids(self) -> list[int]:
        try:
            return [int(line) for line in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def pressure(self) -> float:
        """Share of the last 10 s in which some task was stalled, 0…1: the worst of cpu, io and memory."""
        worst = 0.0
        for name in PRESSURES:
            try:
                line = (self.path / name).read_text().split("\n", 1)[0]
                worst = max(worst, float(line.split("avg10=", 1)[1].split(" ", 1)[0]) / 100)
            except (OSError, IndexError, ValueError):
                continue
        return worst

    def frozen(self) -> bool:
        try:
            return "frozen 1" in (self.path / "cgroup.events").read_text()
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL to all in it, frozen or not, at once."""
        try:
            (self.path / "cgroup.freeze").write_text("0")
            (self.path / "cgroup.kill").write_text("1")
        except OSError:
            return

    def remove(self) -> None:
        """Its folder, and the agent's when this was the last; one that is not empty stays."""
        for path in (self.path, self.path.parent):
            try:
                path.rmdir()
            except OSError:
                return


def frozen_v1(pid: int) -> Path | None:
    """The version-1 freezer that holds this process still, if one does (`docker pause`, `podman pause`)."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "freezer" and path != "/":
            freezer = Path("/sys/fs/cgroup/freezer") / path.lstrip("/")
            try:
                if (freezer / "freezer.state").read_text().strip() != "THAWED":
                    return freezer
            except OSError:
                return None
    return None


def thaw_v1(pid: int) -> None:
    freezer = frozen_v1(pid)
    if freezer is not None:
        (freezer / "freezer.state").write_text("THAWED")
