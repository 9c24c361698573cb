"""The check's door: a path or the address of a git repository in, plain values out, for the command line and pages."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid
from weatherglass.pipelines.check import check

_ADDRESS = re.compile(r"^(?:https?|ssh|git|file)://|^[\w.-]+@[\w.-]+:")
_CLONE_S = 300


def checked(path: str) -> dict[str, Any]:
    """The report on a folder, a file or a git repository. Raises Invalid."""
    if not _ADDRESS.match(path):
        return asdict(check(Path(path)))
    with tempfile.TemporaryDirectory(prefix="weatherglass-check-") as folder:
        try:
            done = subprocess.run(
                ["git", "clone", "--quiet", "--depth", "1", "--", path, f"{folder}/it"],
                capture_output=True,
                check=False,
                text=True,
                timeout=_CLONE_S,
                # It must never stop to ask for a password.
                env={"GIT_TERMINAL_PROMPT": "0", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder},
            )
        except FileNotFoundError:
            raise Invalid("git is not installed", where=path, mend="apt-get install git") from None
        except subprocess.TimeoutExpired:
            raise Invalid(
                f"it was not here after {_CLONE_S} s", where=path, mend="clone it by hand"
            ) from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["git failed"])[-1]
            raise Invalid(f"it cannot be cloned: {last}", where=path, mend="see that git clone can") from None
        return asdict(check(Path(folder) / "it"))
