"""Files by content: a hash that is computed once for a file that does not change. The edge that reads inputs."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from weatherglass.engine.files import RealFiles
from weatherglass.pipelines.run.record import File, Program

_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


class Hashes:
    """Hashes of files, kept beside the runs: a file with the same size and time of change is not read again."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        try:
            self._known: dict[str, list[object]] = json.loads(kept.read_text())
        except (OSError, ValueError):
            self._known = {}

    def of(self, path: Path) -> File:
        stat = path.stat()
        key, state = str(path.resolve()), [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = self._known.get(key)
        if not known or known[:3] != state:
            known = [*state, sha256(path)]
            self._known[key] = known
        return File(str(path), stat.st_size, str(known[3]))

    def keep(self) -> None:
        RealFiles().write_atomic(self._kept, json.dumps(self._known).encode())


def programs(commands: Iterable[str], hashes: Hashes) -> tuple[Program, ...]:
    """Programs that commands name, found on PATH, with Debian's package where one owns them."""
    import re

    names = {
        word
        for command in commands
        for word in re.findall(r"(?:^|[;&|(]\s*|&&\s*|\|\|\s*|\n\s*)([A-Za-z][\w.+-]*)", command)
    }
    found = {name: path for name in sorted(names) if (path := shutil.which(name))}
    owners = _packages(list(found.values()))
    return tuple(
        Program(name, path, hashes.of(Path(path).resolve()).sha256, owners.get(path, ""))
        for name, path in found.items()
    )


def _packages(paths: list[str]) -> dict[str, str]:
    """path → package=version, of those that dpkg knows."""
    dpkg = shutil.which("dpkg-query")
    if not dpkg or not paths:
        return {}
    # /bin is /usr/bin nowadays; dpkg knows a file by the one it was shipped as.
    asked = {
        variant: path
        for path in paths
        for variant in (path, str(Path(path).resolve()), path.removeprefix("/usr"))
    }
    said = subprocess.run([dpkg, "-S", *asked], capture_output=True, text=True, check=False).stdout
    owner = {
        line.split(": ", 1)[1]: line.split(": ", 1)[0].split(",")[0]
        for line in said.split("\n")
        if ": " in line
    }
    names = sorted({name.split(":")[0] for name in owner.values()})
    told = subprocess.run(
        [dpkg, "-W", "-f", "${Package}=${Version}\n", *names], capture_output=True, text=True, check=False
    ).stdout
    versions = dict(line.split("=", 1) for line in told.split("\n") if "=" in line)
    return {
        asked[path]: f"{name.split(':')[0]}={versions.get(name.split(':')[0], '')}"
        for path, name in owner.items()
        if path in asked
    }
