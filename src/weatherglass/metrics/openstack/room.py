"""`OpenStack`: the clouds that are watched, each asked at even intervals by a thread of its own. Nothing is changed.

What a cloud says becomes samples of the tenant `site`, entities and edges of `seen:openstack/NAME`, and states. How
one logs in is kept in the room's own folder, for nobody else to read.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weatherglass.base.errors import Invalid, NotFound, WeatherglassError
from weatherglass.base.ids import SITE_TENANT, EntityId, is_plain_name
from weatherglass.base.time import MS_NS, Clock
from weatherglass.engine.files import Files
from weatherglass.engine.protocols import Entry, Labels, Ledger, Samples, SampleSink
from weatherglass.inventory import Inventory, State, StateRecord
from weatherglass.metrics.openstack import asking, entities, samples
from weatherglass.metrics.openstack.client import Client
from weatherglass.metrics.openstack.clouds import Cloud, read_cloud
from weatherglass.metrics.openstack.questions import Answers, unasked, with_last
from weatherglass.metrics.scrape.turn import STALE

_LOG = logging.getLogger(__name__)

EVERY_S = 60.0
LEAST_S, MOST_S = 1.0, 3600.0
JOB = "openstack"


@dataclass(slots=True)
class Told:
    """How a cloud's last poll went, for its page and for `adopt`."""

    cloud: str
    at_ns: int = 0
    seconds: float = 0.0
    requests: int = 0
    samples: int = 0
    entities: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    denied: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)  # entities by kind
    error: str = ""


class _Watched:
    """One cloud and what is remembered of it between polls."""

    def __init__(self, entry: Mapping[str, Any], cloud: Cloud, every_s: float) -> None:
        self.entry, self.cloud, self.every_s = entry, cloud, every_s
        self.client = Client(cloud)
        self.stop = threading.Event()
        self.polling = threading.Lock()
        self.thread: threading.Thread | None = None
        self.told = Told(cloud.name)
        self.last: Answers | None = None
        self.present: set[Labels] = set()
        self.ids: dict[str, EntityId] = {}


class OpenStack:
    """Any thread may call. `start`, then `adopt` and `forget` as often as wanted, then `stop`."""

    def __init__(
        self,
        folder: Path,
        *,
        files: Files,
        samples: SampleSink,
        inventory: Inventory,
        clock: Clock,
        ledger: Ledger,
        tenants: Callable[[], Mapping[str, str]] = dict,
        resources: Callable[[], Iterable[tuple[str, str]]] = tuple,
    ) -> None:
        """`tenants` are the declared ones by their project's id; `resources` Gnocchi's, as (id, type)."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path, self._files = folder / "clouds.json", files
        self._samples, self._inventory, self._clock, self._ledger = samples, inventory, clock, ledger
        self._tenants, self._resources = tenants, resources
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._started = False

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Takes up the clouds that were adopted before."""
        kept = json.loads(self._path.read_bytes()) if self._path.exists() else {}
        with self._lock:
            self._started = True
            for name, one in kept.items():
                try:
                    cloud = read_cloud(name, one["entry"], f"{self._path}: {name}")
                except Invalid as error:
                    _LOG.error("cloud %s is not watched: %s", name, error)
                    continue
                self._watch(_Watched(one["entry"], cloud, float(one["every_s"])))

    def stop(self) -> None:
        """Within two seconds; a poll under way is given up."""
        with self._lock:
            self._started = False
            watched = list(self._watched.values())
            self._watched.clear()
        _end(watched)

    # --- which clouds ------------------------------------------------------------------------------------

    def adopt(
        self, name: str, entry: Mapping[str, Any], *, every_s: float = EVERY_S, who: str = "house"
    ) -> Told:
        """Watches a cloud from now on; comes back once it was asked for the first time.

        `entry` is its entry in clouds.yaml. Raises Invalid, Unauthenticated, Unavailable: then it is not watched.
        """
        if not is_plain_name(name):
            raise Invalid(
                f"{name!r} cannot name a cloud", where="name", mend="lower-case letters, digits, - and _"
            )
        if not LEAST_S <= every_s <= MOST_S:
            raise Invalid(f"every {every_s:g} s", where="every_s", mend=f"between {LEAST_S:g} and {MOST_S:g}")
        cloud = read_cloud(name, entry, f"clouds.{name}")
        watched = _Watched(dict(entry), cloud, every_s)
        try:
            watched.client.session()
        except BaseException:
            watched.client.close()
            raise
        with self._lock:
            old = self._watched.pop(name, None)
        _end([old] if old else [])
        if old:
            watched.present = old.present
        self._poll(watched)
        with self._lock:
            self._watch(watched)
            self._keep()
        self._ledger.append(
            Entry(
                self._clock.now_ns(), who, "cloud.adopt", "site", why="it is only watched",
                after={"cloud": name, "auth_url": cloud.auth_url, "every_s": every_s},
            )
        )  # fmt: skip
        return watched.told

    def forget(self, name: str, *, who: str = "house") -> None:
        """Watches a cloud no more: its entities end, its series are stale. Raises NotFound."""
        with self._lock:
            watched = self._watched.pop(name, None)
            if watched is None:
                raise NotFound(f"no cloud {name} is watched")
            self._keep()
        _end([watched])
        with watched.polling:
            now_ns = self._clock.now_ns()
            self._inventory.seen((), (), f"openstack/{name}", now_ns)
            if watched.present:
                self._samples.append(
                    SITE_TENANT, _batch(dict.fromkeys(watched.present, STALE), now_ns // MS_NS)
                )
        self._ledger.append(Entry(now_ns, who, "cloud.forget", "site", after={"cloud": name}))

    def clouds(self) -> list[Told]:
        """The clouds that are watched, by name, and how their last poll went."""
        with self._lock:
            return [one.told for _, one in sorted(self._watched.items())]

    def cloud(self, name: str) -> Cloud:
        """Raises NotFound."""
        with self._lock:
            if name not in self._watched:
                raise NotFound(f"no cloud {name} is watched", mend="weatherglass adopt --clouds clouds.yaml")
            return self._watched[name].cloud

    def entity_of(self, id: str) -> EntityId | None:
        """The entity of an id of OpenStack's, which is that of Gnocchi's resource as well."""
        with self._lock:
            return next((one.ids[id] for one in self._watched.values() if id in one.ids), None)

    def poll(self, name: str) -> Told:
        """Asks a cloud now. Raises NotFound."""
        with self._lock:
            watched = self._watched.get(name)
        if watched is None:
            raise NotFound(f"no cloud {name} is watched")
        self._poll(watched)
        return watched.told

    # --- inside ------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        kept = {name: {"entry": one.entry, "every_s": one.every_s} for name, one in self._watched.items()}
        self._files.write_atomic(self._path, json.dumps(kept).encode())
        self._path.chmod(0o600)

    def _watch(self, watched: _Watched) -> None:
        """The lock is held."""
        self._watched[watched.cloud.name] = watched
        if self._started:
            watched.thread = threading.Thread(
                target=self._run, args=(watched,), name=f"openstack-{watched.cloud.name}", daemon=True
            )
            watched.thread.start()

    def _run(self, watched: _Watched) -> None:
        if watched.last is None:
            self._guarded(watched)
        while not watched.stop.wait(watched.every_s):
            self._guarded(watched)

    def _guarded(self, watched: _Watched) -> None:
        try:
            self._poll(watched)
        except Exception as error:  # noqa: BLE001 (told on the page; the next poll may be better)
            if not watched.stop.is_set():
                _LOG.exception("cloud %s could not be read", watched.cloud.name)
                watched.told.error = f"{type(error).__name__}: {error}"

    def _poll(self, watched: _Watched) -> None:
        with watched.polling:
            began, at_ns = time.monotonic(), self._clock.now_ns()
            try:
                answers = asking.ask(watched.client, within_s=max(min(watched.every_s, EVERY_S) * 0.8, 10.0))
            except WeatherglassError as error:
                cloud = watched.cloud
                answers = unasked(watched.last, cloud.name, cloud.region, error.message)
            if watched.stop.is_set():
                return
            seconds = time.monotonic() - began
            found = samples.samples(answers)
            whole = watched.last = with_last(answers, watched.last)
            seen = entities.seen(whole, self._tenants())
            self._marked(seen)
            watched.ids = seen.ids
            self._store(watched, found, answers, seconds, at_ns)
            self._inventory.seen(
                list(seen.entities.values()), list(seen.edges), f"openstack/{watched.cloud.name}", at_ns
            )
            self._say(seen, at_ns)
            counts: dict[str, int] = {}
            for one in seen.entities.values():
                counts[one.kind] = counts.get(one.kind, 0) + 1
            watched.told = Told(
                watched.cloud.name, at_ns, seconds, answers.requests, len(found), len(seen.entities), answers.failed,
                answers.denied, counts, answers.blind,
            )  # fmt: skip

    def _marked(self, seen: entities.Seen) -> None:
        """Gnocchi's resources that are entities are said to be."""
        for id, kind in self._resources():
            one = seen.ids.get(id)
            if one is not None:
                known = seen.entities[one]
                more = {**known.attributes, "gnocchi": {"id": id, "type": kind}}
                seen.entities[one] = type(known)(one, known.kind, known.name, known.labels, more)

    def _store(
        self, watched: _Watched, found: Mapping[Labels, float], answers: Answers, seconds: float, at_ns: int
    ) -> None:
        """The samples of a poll, and the ends of those that were there before, as of a scrape."""
        own = (("instance", watched.cloud.name), ("job", JOB))
        rows = {tuple(sorted((*labels, *own))): value for labels, value in found.items()}
        report = {
            "up": float(not answers.blind),
            "scrape_duration_seconds": seconds,
            "scrape_samples_scraped": float(len(found)),
        }
        rows |= {tuple(sorted((*own, ("__name__", name)))): value for name, value in report.items()}
        ended = watched.present - rows.keys()
        watched.present = set(rows)
        self._samples.append(SITE_TENANT, _batch({**rows, **dict.fromkeys(ended, STALE)}, at_ns // MS_NS))

    def _say(self, seen: entities.Seen, at_ns: int) -> None:
        """States of what is only watched; of what is declared as well, health speaks."""
        known = self._inventory.graph().entities
        records = []
        for id in seen.entities:
            state, why = seen.states.get(id, (State.UNKNOWN, ""))
            if id in known and "site" in known[id].labels:
                continue
            before = self._inventory.state(id)
            since = before.since_ns if before.state is state and before.since_ns else at_ns
            records.append(StateRecord(id, state, since, at_ns, entities.evidence(why, at_ns)))
        self._inventory.publish_states(records)


def _end(watched: Iterable[_Watched]) -> None:
    several = list(watched)
    for one in several:
        one.stop.set()
    for one in several:
        one.client.close()  # what waits for an answer is let go
        if one.thread is not None and one.thread is not threading.current_thread():
            one.thread.join(1.0)


def _batch(rows: Mapping[Labels, float], now_ms: int) -> Samples:
    return Samples(list(rows), [[now_ms]] * len(rows), [[value] for value in rows.values()])
