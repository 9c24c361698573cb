"""The scraper: looks for targets, fetches them when they are due, hands what they gave to the store.

One thread keeps the times; a bounded pool fetches and looks. Each scrape becomes one batch, written under the job's
tenant; the store answers when it is durable. A target that takes longer than its timeout counts as down. Parsing and
staleness are in `turn` and `formats`.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from weatherglass.base.errors import Invalid, TooLarge, WeatherglassError
from weatherglass.base.time import MS_NS, Clock
from weatherglass.engine.protocols import SampleSink
from weatherglass.metrics.formats import exposition
from weatherglass.metrics.formats.taken import Exemplar, Family, Taken
from weatherglass.metrics.scrape import told, turn
from weatherglass.metrics.scrape.discovery.groups import Discovery, Group, merged
from weatherglass.metrics.scrape.job import Job, Target, target

_LOG = logging.getLogger(__name__)

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.7,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
_WORKERS = 8
_LATE_INTERVALS = 1.0
"""A scrape that is later than this many intervals is left out: samples of a machine that slept are not made up."""


@dataclass(slots=True)
class Told:
    """What is known of a target's last scrape, for `/targets` and the page."""

    target: Target
    health: str = "unknown"  # up, down, unknown
    error: str = ""
    at_ns: int = 0
    duration_s: float = 0.0
    samples: int = 0


@dataclass(slots=True)
class _Running:
    told: Told
    memory: turn.Memory = field(default_factory=turn.Memory)
    busy: bool = False
    ended: bool = False


@dataclass(slots=True)
class _Looked:
    """One discovery of a job: what it found, when it is asked next."""

    job: Job
    name: str
    discovery: Discovery
    groups: dict[str, Group] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    busy: bool = False


Heard = Callable[[str, dict[str, Family], list[Exemplar]], object]
"""(tenant, families, exemplars) of a scrape, for the store's metadata."""


class Scraper:
    """Runs jobs. `start`, then `configure` as often as the declaration changes, then `stop`."""

    def __init__(
        self,
        sink: SampleSink,
        clock: Clock,
        *,
        secret: Callable[[str], str] = lambda name: "",
        heard: Heard = lambda tenant, families, exemplars: None,
        workers: int = _WORKERS,
    ) -> None:
        self._sink, self._clock, self._secret, self._heard = sink, clock, secret, heard
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="scrape")
        self._lock = threading.Condition()
        self._due: list[tuple[float, int, _Running | _Looked]] = []
        self._running: dict[Any, _Running] = {}
        self._looked: list[_Looked] = []
        self._dropped: dict[str, list[str]] = {}
        self._left: dict[str, list[dict[str, str]]] = {}  # what relabelling dropped, as it was found
        self._numbers = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._keep_time, name="scrape", daemon=True)
        self._clients = {
            verify: httpx.Client(verify=verify, follow_redirects=True, trust_env=False)
            for verify in (True, False)
        }

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; there is nothing to scrape before `configure`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop within two seconds; scrapes under way are given up. Series are not ended: the house starts again."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        if self._thread.ident:
            self._thread.join(1.0)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def configure(self, jobs: Iterable[Job]) -> None:
        """The jobs that count from now on. Targets that stay go on without a gap, others end with stale markers."""
        with self._lock:
            before = {(one.job.name, one.name): one for one in self._looked}
            self._looked = []
            for job in jobs:
                for name, discovery in job.discoveries:
                    old = before.get((job.name, name))
                    same = old is not None and old.discovery == discovery
                    self._looked.append(_Looked(job, name, discovery, old.groups if old and same else {}))
            for looked in self._looked:
                self._put(looked, 0.0)
            self._settle()
            self._lock.notify_all()

    def targets(self) -> list[Told]:
        """Every target and how its last scrape went, by job and address."""
        with self._lock:
            found = [one.told for one in self._running.values()]
        return sorted(found, key=lambda one: (one.target.job.name, one.target.url))

    def discoveries(self) -> list[tuple[str, str, int, dict[str, str]]]:
        """(job, discovery, targets found, sources that could not be asked and why)."""
        with self._lock:
            return [
                (
                    one.job.name,
                    one.name,
                    sum(len(group.targets) for group in one.groups.values()),
                    dict(one.kept),
                )
                for one in self._looked
            ]

    def dropped(self) -> dict[str, list[str]]:
        """Job → what discovery found and cannot be scraped, and why."""
        with self._lock:
            return {job: list(why) for job, why in self._dropped.items()}

    def prometheus(self, path: str, tenant: str, asked: Mapping[str, str]) -> Any:
        """What Prometheus' API tells of targets under `path`, of one tenant; None for what is not told here."""
        if path == "scrape_pools":
            return {"scrapePools": sorted({one.job.name for one in self._looked if one.job.tenant == tenant})}
        if path != "targets":
            return None
        with self._lock:
            own = {one.job.name for one in self._looked if one.job.tenant == tenant}
            left = {name: list(many) for name, many in self._left.items() if name in own}
        found = [one for one in self.targets() if one.target.job.tenant == tenant]
        return told.targets(found, left, asked.get("state", "any"), asked.get("scrapePool", ""))

    # --- time --------------------------------------------------------------------------------------------

    def _put(self, what: _Running | _Looked, in_s: float) -> None:
        self._numbers += 1
        heapq.heappush(self._due, (time.monotonic() + in_s, self._numbers, what))

    def _keep_time(self) -> None:
        with self._lock:
            while not self._stopping:
                wait = self._due[0][0] - time.monotonic() if self._due else 60.0
                if wait > 0:
                    self._lock.wait(min(wait, 60.0))
                    continue
                _, _, what = heapq.heappop(self._due)
                if isinstance(what, _Looked):
                    if what in self._looked and not what.busy:
                        what.busy = True
                        self._pool.submit(self._look, what)
                elif not what.ended:
                    self._put(what, self._until_next(what.told.target))
                    if not what.busy:
                        what.busy = True
                        self._pool.submit(self._scrape, what, time.monotonic())

    def _until_next(self, one: Target) -> float:
        """Seconds to the target's next time: its offset in the interval, on the wall clock, so that restarts keep it."""
        now = self._clock.now_ns() / 1e9
        since = (now - one.offset_s()) % one.interval_s
        return one.interval_s - since

    # --- looking -----------------------------------------------------------------------------------------

    def _look(self, looked: _Looked) -> None:
        again = looked.discovery.every_s
        try:
            found = looked.discovery.look()
            again = found.again_s or again
            with self._lock:
                looked.groups = merged(looked.groups, found)
                looked.kept = dict(found.kept)
                self._settle()
        except Exception as error:  # noqa: BLE001 (told on the page; the next look may be better)
            _LOG.exception("discovery %s of %s failed", looked.name, looked.job.name)
            with self._lock:
                looked.kept = {looked.name: f"{type(error).__name__}: {error}"}
        with self._lock:
            looked.busy = False
            if looked in self._looked and not self._stopping:
                self._put(looked, again)
                self._lock.notify_all()

    def _settle(self) -> None:
        """Targets that are new begin, those that are gone end. The lock is held."""
        wanted: dict[Any, Target] = {}
        self._dropped, self._left = {}, {}
        for looked in self._looked:
            count = 0
            for group in looked.groups.values():
                for labels in group.targets:
                    try:
                        one = target(looked.job, labels)
                    except Invalid as error:
                        self._dropped.setdefault(looked.job.name, []).append(str(error))
                        continue
                    count += one is not None
                    if one is None:
                        self._left.setdefault(looked.job.name, []).append(_found(looked.job, labels))
                    if one is not None and not (looked.job.target_limit and count > looked.job.target_limit):
                        wanted[one.key] = one
            if looked.job.target_limit and count > looked.job.target_limit:
                self._dropped.setdefault(looked.job.name, []).append(
                    f"{count} targets; at most {looked.job.target_limit}"
                )
        for key in [key for key in self._running if key not in wanted]:
            ended = self._running.pop(key)
            ended.ended = True
            self._pool.submit(self._end, ended)
        for key, one in wanted.items():
            known = self._running.get(key)
            if known is None:
                known = self._running[key] = _Running(Told(one))
                self._put(known, min(self._until_next(one), one.interval_s))
            elif known.told.target != one:
                known.told.target = one

    # --- scraping ----------------------------------------------------------------------------------------

    def _scrape(self, running: _Running, due: float) -> None:
        seen, one = running.told, running.told.target
        try:
            if running.ended or time.monotonic() - due > one.interval_s * _LATE_INTERVALS:
                return
            began, at_ns = time.monotonic(), self._clock.now_ns()
            error, taken = "", Taken()
            try:
                taken = self._fetch(one, running.memory)
                duration = time.monotonic() - began
                samples = turn.good(one, running.memory, taken, at_ns // MS_NS, duration)
            except (WeatherglassError, httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
                duration, error = time.monotonic() - began, _said(failed)
                samples = turn.bad(one, running.memory, at_ns // MS_NS, duration, len(taken.series))
            try:
                self._sink.append(one.job.tenant, samples)
                if taken.families or taken.exemplars:
                    self._heard(one.job.tenant, taken.families, taken.exemplars)
            except WeatherglassError as refused:
                error = f"the store refused it: {_said(refused)}"
            seen.health, seen.error = ("down" if error else "up"), error
            seen.at_ns, seen.duration_s, seen.samples = at_ns, duration, len(taken.series)
        except Exception as error:  # noqa: BLE001 (told on the page; one target must not end the others)
            _LOG.exception("scraping %s failed", one.url)
            seen.health, seen.error = "down", f"{type(error).__name__}: {error}"
        finally:
            running.busy = False
            if running.ended:
                self._end(running)

    def _end(self, running: _Running) -> None:
        if running.busy:
            return  # the scrape under way ends it when it is done
        one = running.told.target
        try:
            self._sink.append(one.job.tenant, turn.gone(one, running.memory, self._clock.now_ns() // MS_NS))
        except WeatherglassError as refused:
            _LOG.warning("the end of %s could not be stored: %s", one.url, refused)

    def _fetch(self, one: Target, memory: turn.Memory) -> Taken:
        headers = {"Accept": ACCEPT, "X-Prometheus-Scrape-Timeout-Seconds": f"{one.timeout_s:g}"}
        auth = None
        if one.job.login.kind == "basic":
            auth = httpx.BasicAuth(one.job.login.user, self._secret(one.job.login.secret))
        elif one.job.login.kind == "bearer":
            headers["Authorization"] = f"Bearer {self._secret(one.job.login.secret)}"
        until = time.monotonic() + one.timeout_s
        client = self._clients[one.job.verify_tls]
        parts: list[bytes] = []
        size = 0
        with client.stream("GET", one.url, headers=headers, auth=auth, timeout=one.timeout_s) as answer:
            if answer.status_code != 200:
                raise Invalid(f"HTTP status {answer.status_code}", where=one.url)
            for part in answer.iter_bytes():
                size += len(part)
                if one.job.body_limit and size > one.job.body_limit:
                    raise TooLarge(f"a body of more than {one.job.body_limit} bytes", where=one.url)
                # A target that drips never runs into a time-out of its socket.
                if time.monotonic() > until:
                    raise Invalid(f"it took longer than {one.timeout_s:g} s", where=one.url)
                parts.append(part)
            kind = answer.headers.get("content-type", "")
        try:
            text = b"".join(parts).decode()
        except UnicodeDecodeError:
            raise Invalid("the body is not UTF-8", where=one.url) from None
        return exposition.parse(text, openmetrics="openmetrics-text" in kind, seen=memory.seen)


def _found(job: Job, labels: Mapping[str, str]) -> dict[str, str]:
    begin = {"job": job.name, "__scheme__": job.scheme, "__metrics_path__": job.path}
    return {**begin, **labels}


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
