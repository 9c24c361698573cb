"""The folders that dashboards lie in: read when they change, and what cannot be read is told, not hidden."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from weatherglass.base.errors import Invalid, NotFound, WeatherglassError
from weatherglass.metrics.dashboards import grafana, own
from weatherglass.metrics.dashboards.model import Dashboard

ENDINGS = (".yaml", ".yml", ".json")
MAX_BYTES = 4 << 20
FILES_AT_MOST = 1_000


class Shelved(NamedTuple):
    """One file: its name in addresses, and what it holds or what is wrong with it."""

    slug: str
    file: Path
    dashboard: Dashboard | None
    problem: WeatherglassError | None


def read(path: Path) -> Dashboard:
    """One file of either form, told by its ending. Raises Invalid, OSError."""
    if path.stat().st_size > MAX_BYTES:
        raise Invalid(
            f"the file is larger than {MAX_BYTES >> 20} MiB", where=str(path), mend="split the dashboard"
        )
    try:
        text = path.read_text()
    except UnicodeDecodeError as error:
        raise Invalid("not UTF-8", where=str(path), mend="save it as UTF-8") from error
    if path.suffix == ".json":
        return grafana.read(text, path.name)
    return own.read(text, path.name)


def slug_of(text: str) -> str:
    """A name as it may stand in an address."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63] or "dashboard"


class Dashboards:
    """Any thread may ask. `folders` is asked each time; of two files with one name the first folder's counts."""

    def __init__(self, folders: Callable[[], Sequence[Path]]) -> None:
        self._folders = folders
        self._known: dict[Path, tuple[tuple[int, int], Shelved]] = {}
        self._lock = threading.Lock()

    @property
    def folders(self) -> list[Path]:
        return list(self._folders())

    def all(self) -> list[Shelved]:
        """Every file, by its slug."""
        found: dict[str, Shelved] = {}
        for folder in self._folders():
            try:
                files = sorted(path for path in folder.iterdir() if path.suffix in ENDINGS and path.is_file())
            except OSError:
                continue  # there is no such folder yet
            for path in files[:FILES_AT_MOST]:
                one = self._read(path)
                if one is not None:
                    found.setdefault(one.slug, one)
        return sorted(found.values(), key=lambda one: one.slug)

    def get(self, slug: str) -> Shelved:
        """Raises NotFound."""
        for one in self.all():
            if one.slug == slug:
                return one
        raise NotFound(f"there is no dashboard {slug}", mend="see /dashboards for those that there are")

    def _read(self, path: Path) -> Shelved | None:
        try:
            seen = path.stat()
        except OSError:
            return None  # taken away meanwhile
        stamp = (seen.st_mtime_ns, seen.st_size)
        with self._lock:
            known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        slug = slug_of(path.stem)
        try:
            one = Shelved(slug, path, read(path), None)
        except WeatherglassError as error:
            one = Shelved(slug, path, None, error)
        except OSError as error:
            one = Shelved(slug, path, None, Invalid(f"cannot be read: {error.strerror}", where=path.name))
        with self._lock:
            self._known[path] = (stamp, one)
        return one
