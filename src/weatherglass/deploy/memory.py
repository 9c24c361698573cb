"""What an agent remembers of the units it made: one small file each, so that a crash loses at most one step.

Never trusted alone: `execute` looks at the host again before it acts on a record.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from weatherglass.deploy.model import FORMAT, Unit, UnitId, canonical, unit_from_json
from weatherglass.deploy.places import write_private


@dataclass(frozen=True, slots=True)
class Main:
    """The main process of a replica, beyond doubt: pid and start time under one boot; `container` is podman's id."""

    runtime: str
    pid: int
    ticks: int
    boot: str
    container: str = ""


@dataclass(slots=True)
class Record:
    """One unit as it was made here.

    `facts` are what observing needs later: a file's content hash, a job's outcome, a volume's loop device.
    """

    unit: Unit
    made_ns: int
    main: Main | None = None
    wanted: str = "running"  # or "stopped", "quarantined"
    restarts: int = 0
    exit_code: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Memory:
    """Records by unit, in a folder. Callable from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._records: dict[UnitId, Record] = {}
        for path in sorted(folder.glob("*.json")):
            body = json.loads(path.read_bytes())
            main = Main(**body["main"]) if body["main"] else None
            unit = unit_from_json(body["unit"])
            self._records[unit.id] = Record(
                unit,
                body["made_ns"],
                main,
                body["wanted"],
                body["restarts"],
                body["exit_code"],
                body["facts"],
            )

    def __iter__(self) -> Iterator[Record]:
        with self._lock:
            return iter(list(self._records.values()))

    def get(self, unit_id: str) -> Record | None:
        return self._records.get(UnitId(unit_id))

    def replica(self, name: str) -> Record | None:
        return self.get(f"replica:{name}")

    def put(self, record: Record) -> None:
        """Durable on return."""
        body = {
            "format": FORMAT,
            "unit": record.unit.to_json(),
            "made_ns": record.made_ns,
            "main": asdict(record.main) if record.main else None,
            "wanted": record.wanted,
            "restarts": record.restarts,
            "exit_code": record.exit_code,
            "facts": record.facts,
        }
        with self._lock:
            write_private(self._path(record.unit.id), canonical(body))
            self._records[record.unit.id] = record

    def forget(self, unit_id: str) -> None:
        with self._lock:
            self._path(unit_id).unlink(missing_ok=True)
            self._records.pop(UnitId(unit_id), None)

    def _path(self, unit_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(unit_id.encode()).hexdigest()[:32]}.json"
