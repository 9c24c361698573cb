"""`file_sd_configs`: groups in JSON or YAML files that something else writes; `*` in a name stands for many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from weatherglass.base.errors import Invalid
from weatherglass.base.units import parse_duration
from weatherglass.metrics.scrape.discovery.groups import Finding, Group
from weatherglass.metrics.scrape.discovery.static import group

_MAX_BYTES = 16 << 20
_MAX_FILES = 1000


@dataclass(frozen=True, slots=True)
class FileDiscovery:
    """Files are read at every look; one that cannot be read, or is half written, keeps what it gave before."""

    files: tuple[str, ...]
    every_s: float = 30.0

    def look(self) -> Finding:
        groups: list[Group] = []
        kept: dict[str, str] = {}
        for pattern in self.files:
            path = Path(pattern)
            matched = sorted(path.parent.glob(path.name))[:_MAX_FILES]
            for file in matched:
                try:
                    groups.append(_read(file))
                except (OSError, Invalid) as error:
                    kept[str(file)] = str(error)
        return Finding(tuple(groups), kept)


def _read(file: Path) -> Group:
    with file.open("rb") as opened:
        body = opened.read(_MAX_BYTES + 1)
    if len(body) > _MAX_BYTES:
        raise Invalid(f"more than {_MAX_BYTES >> 20} MiB", where=str(file))
    try:
        if file.suffix == ".json":
            found = json.loads(body)
        else:
            found = yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (a safe loader)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise Invalid(f"it cannot be read: {error}", where=str(file)) from None
    return joined(found, str(file))


def joined(found: Any, source: str) -> Group:
    """A document's list of groups as one group of that source, `__meta_filepath` on each target. Raises Invalid."""
    if not isinstance(found, list):
        raise Invalid("a list of groups belongs here", where=source, mend='[{"targets": ["a:9100"]}]')
    targets: list[Mapping[str, str]] = []
    for number, one in enumerate(found):
        for labels in group(one, source, f"{source}[{number}]").targets:
            targets.append({"__meta_filepath": source, **labels})
    return Group(source, tuple(targets))


def configured(
    given: Mapping[str, Any], where: str = "file_sd_configs", house: object = None
) -> FileDiscovery:
    """Of a configuration (files, refresh_interval). Raises Invalid."""
    files = given.get("files", ())
    if not isinstance(files, (list, tuple)) or not files:
        raise Invalid("files are missing", where=f"{where}.files", mend='["/etc/targets/*.json"]')
    for name in files:
        if not str(name).endswith((".json", ".yml", ".yaml")):
            raise Invalid(
                f"{str(name)[:80]!r} is neither JSON nor YAML", where=f"{where}.files", mend=".json, .yml"
            )
        if "*" in str(Path(str(name)).parent):
            raise Invalid("* in a folder's name", where=f"{where}.files", mend="* in the last part alone")
    try:
        every = parse_duration(str(given.get("refresh_interval", "30s")))
    except ValueError as error:
        raise Invalid(str(error), where=f"{where}.refresh_interval") from None
    return FileDiscovery(tuple(map(str, files)), max(every, 1.0))
