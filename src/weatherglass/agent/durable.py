"""Small JSON files that survive power cuts: cursors, the work offset, what to probe and to collect.

They go through `engine.files`, the one seam to durable files, so that the power-cut model reaches them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Corrupt
from weatherglass.engine.files import RealFiles

FILES = RealFiles()


def read_json(path: Path) -> Any:
    """What `write_json` wrote, or None where nothing was. Raises Corrupt: these files are written atomically."""
    if not FILES.exists(path):
        return None
    try:
        return json.loads(FILES.read(path))
    except ValueError as error:
        raise Corrupt(
            "this file is not JSON", where=str(path), mend="remove it; its agent then starts afresh"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Durable on return, whole or not at all."""
    FILES.write_atomic(path, json.dumps(value, separators=(",", ":")).encode())
