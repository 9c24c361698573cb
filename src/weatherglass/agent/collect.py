"""What to tail and to scrape: the replicas' own logs and endpoints, as the hands of deployment know them, and
what the server names beside them (work of kind "collect").

The body of "collect": `{"logs": [{"globs": […], "labels": {…}, "kind": "oslo"}], "metrics": [{"target":
"http://127.0.0.1:9100/metrics", "labels": {…}}]}`; it replaces the one before and is kept on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from weatherglass.agent.durable import read_json, write_json
from weatherglass.agent.scrape import Target, url_of
from weatherglass.agent.tail import Follow
from weatherglass.base.errors import Invalid, WeatherglassError

EMPTY: Mapping[str, Any] = {"logs": [], "metrics": []}


def _labels(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(x, str) for pair in value.items() for x in pair):
        raise Invalid("labels are texts", where=where)
    return dict(value)


def asked(body: Mapping[str, Any]) -> tuple[tuple[Follow, ...], tuple[Target, ...]]:
    """What a body of kind "collect" asks for. Raises Invalid."""
    follows, targets = [], []
    for place, log in enumerate(body.get("logs", ())):
        globs = log.get("globs") if isinstance(log, Mapping) else None
        if not isinstance(globs, list) or not all(isinstance(glob, str) for glob in globs):
            raise Invalid("needs `globs`, a list", where=f"logs[{place}]")
        labels = _labels(log.get("labels", {}), f"logs[{place}].labels")
        follows.append(Follow(tuple(globs), labels, str(log.get("kind", "auto"))))
    for place, metric in enumerate(body.get("metrics", ())):
        if not isinstance(metric, Mapping) or not isinstance(metric.get("target"), str):
            raise Invalid("needs `target`", where=f"metrics[{place}]")
        labels = _labels(metric.get("labels", {}), f"metrics[{place}].labels")
        targets.append(Target(url_of(metric["target"]), tuple(sorted(labels.items()))))
    return tuple(follows), tuple(targets)


def of_replicas(sources: Sequence[Mapping[str, Any]]) -> tuple[tuple[Follow, ...], tuple[Target, ...]]:
    """What `Executor.sources` asks for, with the labels of service and replica."""
    follows, targets = [], []
    for source in sources:
        labels = {name: source[name] for name in ("service", "replica", "zone") if source.get(name)}
        follows += [
            Follow((log["glob"],), labels, "auto", wrapped=log.get("format") == "k8s-file")
            for log in source["logs"]
        ]
        targets += [Target(url_of(target), tuple(sorted(labels.items()))) for target in source["metrics"]]
    return tuple(follows), tuple(targets)


class Collect:
    """Keeps the tail and the scraper told."""

    def __init__(
        self,
        path: Path,
        sources: Callable[[], Sequence[Mapping[str, Any]]],
        follow: Callable[[Sequence[Follow]], None],
        scrape: Callable[[Sequence[Target]], None],
    ) -> None:
        self._path, self._sources, self._follow, self._scrape = path, sources, follow, scrape
        self._asked: tuple[tuple[Follow, ...], tuple[Target, ...]] = ((), ())
        self._told: Any = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Take up what was asked before the last stop."""
        kept = read_json(self._path)
        if isinstance(kept, dict):
            self._asked = asked(kept)
        self.refresh()

    def set(self, body: Mapping[str, Any], progress: Callable[[float, str], None]) -> dict[str, Any]:
        """The executor of work of kind "collect". Raises Invalid."""
        follows, targets = asked(body)
        write_json(self._path, {"version": 1, **EMPTY, **body})
        self._asked = (follows, targets)
        self.refresh()
        return {"logs": len(follows), "metrics": len(targets)}

    def refresh(self) -> None:
        """Look at the replicas again; tell whom it concerns when something changed."""
        with self._lock:
            try:
                follows, targets = of_replicas(self._sources())
            except WeatherglassError:
                return  # a path may need a secret, and the server may be away: what was told before still holds
            told = (self._asked[0] + follows, self._asked[1] + targets)
            if told != self._told:
                self._told = told
                self._follow(told[0])
                self._scrape(told[1])
