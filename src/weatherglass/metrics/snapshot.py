"""A copy of the metrics folder as of one moment, and putting it back. Not here: the backup of a whole house."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Conflict, Invalid, Unavailable
from weatherglass.engine.files import Files
from weatherglass.engine.segments import SUFFIX, sound_length
from weatherglass.engine.tables import Tables

TABLES_FILE = "tables.db"
"""The catalogue in a snapshot: the database as it was, the metrics' own tables among it."""


def take(folder: Path, tables: Tables, target: Path, files: Files) -> Mapping[str, Any]:
    """Copies what is in `folder` to the new folder `target`, the catalogue beside it; nothing on the shelf may change
    meanwhile. Blocks are hard links where the file system lets them be.

    Raises Conflict where `target` is there, OSError, Unavailable.
    """
    if target.exists():
        raise Conflict(f"{target} is there already", where=str(target), mend="name a new folder")
    if tables.url.get_backend_name() != "sqlite" or not tables.url.database:
        raise Unavailable("snapshots are of tables in SQLite", mend="back the database up with its own means")
    draft = target.with_name(f".{target.name}.tmp")
    if draft.exists():
        shutil.rmtree(draft)
    counted = {"files": 0, "bytes": 0}
    files.mkdir(draft / "metrics" / "blocks")
    files.mkdir(draft / "metrics" / "log")
    for path in sorted((folder / "blocks").iterdir()):
        if not path.name.startswith("."):
            _link(path, draft / "metrics" / "blocks" / path.name)
            counted["files"] += 1
            counted["bytes"] += path.stat().st_size
    for path in sorted((folder / "log").glob(f"*{SUFFIX}")):
        # The log is written to: its sound beginning is copied, and ends with what was acknowledged by now.
        data = files.read(path, 0, sound_length(files, path))
        _write(files, draft / "metrics" / "log" / path.name, data)
        counted["files"] += 1
        counted["bytes"] += len(data)
    with (
        closing(sqlite3.connect(str(tables.url.database))) as source,
        closing(sqlite3.connect(draft / TABLES_FILE)) as copy,
    ):
        source.backup(copy)
    (draft / TABLES_FILE).chmod(0o600)
    for place in (draft / "metrics" / "blocks", draft / "metrics" / "log", draft):
        files.sync_dir(place)
    files.rename(draft, target)
    files.sync_dir(target.parent)
    return {"folder": str(target), **counted}


def restore(source: Path, state: Path, files: Files) -> None:
    """Puts a snapshot into a state folder that has no metrics yet: `metrics/` and `tables.db`. Raises Conflict, Invalid."""
    if not (source / TABLES_FILE).exists() or not (source / "metrics" / "blocks").is_dir():
        raise Invalid("not a snapshot", where=str(source), mend="name the folder that `snapshot` made")
    for name in ("metrics", TABLES_FILE):
        if (state / name).exists():
            raise Conflict(f"{state / name} is there already", mend="restore into an empty folder")
    files.mkdir(state / "metrics" / "blocks")
    files.mkdir(state / "metrics" / "log")
    for part in ("blocks", "log"):
        for path in sorted((source / "metrics" / part).iterdir()):
            _write(files, state / "metrics" / part / path.name, files.read(path))
        files.sync_dir(state / "metrics" / part)
    _write(files, state / TABLES_FILE, files.read(source / TABLES_FILE))
    files.sync_dir(state)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def _write(files: Files, path: Path, data: bytes) -> None:
    file = files.create(path)
    try:
        file.write(data)
        file.sync()
    finally:
        file.close()
