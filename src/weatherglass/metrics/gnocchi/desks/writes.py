"""What others than Gnocchi's clients write: InfluxDB's lines, Prometheus' remote write, statsd's flushes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weatherglass.engine.protocols import Written
from weatherglass.kernels.labels import read_labels
from weatherglass.kernels.wire import Batch
from weatherglass.metrics import intake
from weatherglass.metrics.formats import influx
from weatherglass.metrics.gnocchi import registry
from weatherglass.metrics.gnocchi.attributes import ResourceType
from weatherglass.metrics.gnocchi.desks.ground import Ground
from weatherglass.metrics.gnocchi.desks.measures import Measures
from weatherglass.metrics.gnocchi.desks.resources import Resources
from weatherglass.metrics.gnocchi.errors import Bad, Taken, Undone
from weatherglass.metrics.gnocchi.measures import MS_NS, Columns
from weatherglass.metrics.gnocchi.model import METRIC_LABEL, Metric
from weatherglass.metrics.gnocchi.rules import Caller
from weatherglass.metrics.index import canonical_key

_LAST_NS = (1 << 63) - 1
_TEXT = {"type": "string", "min_length": 1, "max_length": 256, "required": True}
PROMETHEUS = {"instance": _TEXT, "job": _TEXT}
"""The attributes of the resource type that a remote write makes."""

Series = dict[str, dict[str, list[tuple[int, float]]]]
"""resource → metric's name → (ms, value)."""


class Writes:
    """Writers that name resources and metrics in their own way; both are made where they are not there."""

    def __init__(self, ground: Ground, resources: Resources, measures: Measures) -> None:
        self._ground, self._resources, self._measures = ground, resources, measures

    # --- InfluxDB ----------------------------------------------------------------------------------------

    def statement(self, caller: Caller, text: str) -> None:
        """`CREATE DATABASE x` makes the resource type x. Raises Undone for every other statement."""
        name = influx.database(text)
        if name is None:
            raise Undone({"cause": "Not implemented error", "detail": "q", "reason": "Query not implemented"})
        caller.enforce("create resource type", {"name": name})
        with self._ground.tables.write() as connection:
            try:
                registry.add_type(connection, ResourceType(name, {}))
            except Taken:
                return  # InfluxDB's clients create their database at each start

    def lines(self, caller: Caller, body: bytes, database: str, tag: str) -> Written:
        """Lines of the line protocol; `tag` names the resource. Raises Bad, Missing, Taken, Forbidden."""
        return self._series(caller, database, self._of_lines(body, tag))

    def _of_lines(self, body: bytes, tag: str) -> Series:
        found: Series = defaultdict(lambda: defaultdict(list))
        now_ns = self._ground.now_ns
        for number, raw in enumerate(body.split(b"\n"), 1):
            if not raw.strip():
                continue
            try:
                line = influx.parse(raw.decode())
            except ValueError:
                raise Bad(
                    {"cause": "Value error", "detail": "line", "reason": f"Unable to parse line {number}"}
                ) from None
            time_ns = now_ns if line.time_ns is None else line.time_ns
            if time_ns > _LAST_NS:
                raise Bad(
                    {"cause": "Value error", "detail": "line", "reason": f"Unable to parse line {number}"}
                )
            tags = dict(line.tags)
            resource = tags.pop(tag, None)
            if resource is None:
                raise Bad(
                    {"cause": "Value error", "detail": "key", "reason": f"Unable to find key `{tag}' in tags"}
                )
            told = ("@" if tags else "") + ",".join(f"{key}={tags[key]}" for key in sorted(tags))
            for field, value in line.fields.items():
                # metrics' names have no slashes
                name = f"{line.measurement}.{field}{told}".replace("/", "_")
                found[resource][name].append((time_ns // MS_NS, value))
        return found

    def _series(self, caller: Caller, kind: str, found: Series) -> Written:
        named: list[Metric] = []
        samples: list[list[tuple[int, float]]] = []
        for resource, metrics in found.items():
            try:
                made = self._resources.ensured(caller, kind, resource, {}, list(metrics))
            except ValueError as error:
                raise Bad(str(error)) from error
            by_name = {one.name: one for one in made}
            for name, points in metrics.items():
                named.append(by_name[name])
                samples.append(sorted(points, key=lambda point: point[0]))
        return self._measures.post_columns(caller, named, _columns(samples))

    # --- statsd ------------------------------------------------------------------------------------------

    def flush(
        self,
        caller: Caller,
        resource: str,
        policy: str | None,
        values: Mapping[str, Sequence[tuple[int, float]]],
    ) -> Written:
        """A statsd's counters, gauges and timers since its last flush, as metrics of one generic resource, which is
        made where it is not there. Without a policy the rules choose. Raises Bad, Forbidden."""
        given = {} if policy is None else {"archive_policy_name": policy}
        made = self._resources.ensured(caller, registry.GENERIC, resource, {}, list(values), wanted=given)
        by_name = {one.name: one for one in made}
        return self._measures.post_columns(
            caller, [by_name[name] for name in values], _columns(list(values.values()))
        )

    # --- Prometheus --------------------------------------------------------------------------------------

    def remote(self, caller: Caller, body: bytes, encoding: str) -> Written:
        """A remote write 1.0. The resource is `job@instance`, the metric its name; every label stays with its
        series in the store. Raises Bad, Taken, Forbidden."""
        batch = intake.from_wire(intake.inflate(body, encoding))
        raw = bytes(batch.raw)
        labels = []
        for start, size in zip(batch.starts.tolist(), batch.sizes.tolist(), strict=True):
            labels.append(dict(read_labels(raw[start : start + size])[0]))
        wanted: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for k, one in enumerate(labels):
            if "__name__" not in one:
                raise Bad("a series without __name__")
            if batch.counts[k]:
                owner = (one.get("job", "none"), one.get("instance", "none"))
                wanted[owner][one["__name__"].replace("/", "_")] = None
        metrics: dict[tuple[str, str, str], Metric] = {}
        for (job, instance), names in wanted.items():
            given = {"job": job, "instance": instance}
            original = f"{job}@{instance}".replace("/", "_")
            for metric in self._resources.ensured(
                caller, "prometheus", original, given, list(names), declared=PROMETHEUS
            ):
                caller.enforce("post measures", metric.target())
                metrics[job, instance, str(metric.name)] = metric
        keys, places = [], []
        for k, one in enumerate(labels):
            if not batch.counts[k]:
                continue
            metric = metrics[
                one.get("job", "none"), one.get("instance", "none"), one["__name__"].replace("/", "_")
            ]
            keys.append(canonical_key(tuple(sorted({**one, METRIC_LABEL: metric.id}.items()))))
            places.append(k)
        return self._stored(caller, keys, places, batch)

    def _stored(self, caller: Caller, keys: Sequence[bytes], places: Sequence[int], batch: Any) -> Written:
        if not keys:
            return Written(0)
        made = Batch()
        made.raw = b"".join(keys)
        made.sizes = np.array([len(key) for key in keys], np.int64)
        made.starts = np.cumsum(made.sizes) - made.sizes
        made.counts = batch.counts[list(places)]
        # series without samples have none to leave out, so times and values stay as they are
        made.times, made.values = batch.times, batch.values
        made.metadata = made.histograms = 0
        written = self._ground.store.append_batch(caller.tenant, made)
        self._ground.late.count(written)
        return written


def _columns(samples: Sequence[Sequence[tuple[int, float]]]) -> Columns:
    return Columns(
        [len(points) for points in samples],
        np.array([ms for points in samples for ms, _ in points], np.int64),
        np.array([value for points in samples for _, value in points], np.float64),
    )
