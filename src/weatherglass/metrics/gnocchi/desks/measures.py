"""Measures: taken in, one append to the store a request, and read back as aggregates."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import voluptuous as v

from weatherglass.engine.protocols import Written
from weatherglass.kernels import measures as kernel
from weatherglass.kernels.wire import Batch
from weatherglass.metrics.gnocchi import attributes, crossing, measures, metrics, registry, resources
from weatherglass.metrics.gnocchi.crossing import Measure
from weatherglass.metrics.gnocchi.desks.ground import Ground, Known
from weatherglass.metrics.gnocchi.desks.metrics import wanted
from weatherglass.metrics.gnocchi.errors import Bad, Missing, Taken, no_aggregate, unfit
from weatherglass.metrics.gnocchi.measures import Columns
from weatherglass.metrics.gnocchi.model import Metric, Resource
from weatherglass.metrics.gnocchi.reading import Asked, read
from weatherglass.metrics.gnocchi.rules import Caller

_NOTHING = Written(0)


class Measures:
    """The measures of metrics. What a POST acknowledged is in every answer after it: there is no backlog."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    # --- in ----------------------------------------------------------------------------------------------

    def post(self, caller: Caller, metric: Metric, body: Any) -> Written:
        """One metric's measures. Raises Bad, Forbidden."""
        caller.enforce("post measures", metric.target())
        found = measures.columns([body], self._ground.now_ns)
        return self._append([Known.of(metric)], found)

    def post_plain(self, caller: Caller, body: bytes) -> Written | None:
        """`{metric id: [measures]}` as it came, in the plain form that clients send; None where it is of another,
        which `post_batch` reads. Raises Bad, Forbidden."""
        found = kernel.decode(body)
        if found is None:
            return None
        keys, counts, times_ms, values = found
        targets = self._targets(keys)
        self._allowed(caller, targets)
        return self._append(targets, Columns(counts, times_ms, values))

    def post_batch(self, caller: Caller, body: Any) -> Written:
        """`{metric id: [measures]}`. Raises Bad, Forbidden."""
        if not isinstance(body, dict):
            raise unfit(v.Invalid("expected a dictionary"))
        targets = self._targets(list(body))
        lists = list(body.values())
        found = measures.columns(lists, self._ground.now_ns, [(text,) for text in body])
        self._allowed(caller, targets)
        return self._append(targets, found)

    def _targets(self, texts: Sequence[str]) -> list[Known]:
        """The metrics of a batch, from the cache or the tables. Raises Bad."""
        by_id = self._ground.cache.by_id
        known = [by_id(text) for text in texts]
        if None in known:
            known = self._looked_up(texts, known)
        return [one for one in known if one is not None]

    def _looked_up(self, texts: Sequence[str], known: list[Known | None]) -> list[Known | None]:
        """Those that the cache does not have, from the tables. Raises Bad."""
        ids = []
        for text in texts:
            try:
                ids.append(str(uuid.UUID(text)))
            except ValueError:
                raise unfit(v.Invalid("extra keys not allowed", path=[text])) from None
        mark = self._ground.cache.mark
        with self._ground.tables.read() as connection:
            lacking = [identity for identity, one in zip(ids, known, strict=True) if one is None]
            there = {
                one.metric.id: one
                for one in self._ground.cache.keep(metrics.found(connection, lacking), mark)
            }
        if missing := sorted(set(lacking) - there.keys()):
            raise Bad(f"Unknown metrics: {', '.join(missing)}")
        return [one or there[identity] for identity, one in zip(ids, known, strict=True)]

    def post_named(self, caller: Caller, body: Any, *, create: bool) -> Written:
        """`{resource: {metric name: measures}}`; `create` makes metrics that are not there. Raises Bad, Forbidden."""
        asked = _named(body, caller)
        cache = self._ground.cache
        pairs = [(identity, name) for (_, identity), named in asked.items() for name in named]
        known = {pair: cache.by_name(*pair) for pair in pairs}
        if None in known.values():
            self._find_named(caller, asked, known, create=create)
        targets = [one for one in known.values() if one is not None]
        lists = [one["measures"] for named in asked.values() for one in named.values()]
        path = [(original, name) for (original, _), named in asked.items() for name in named]
        found = measures.columns(lists, self._ground.now_ns, path)
        self._allowed(caller, targets)
        return self._append(targets, found)

    def _find_named(
        self,
        caller: Caller,
        asked: Mapping[tuple[str, str], Mapping[str, Any]],
        known: dict[tuple[str, str], Known | None],
        *,
        create: bool,
    ) -> None:
        """Fills in `known` from the tables, with new metrics where they may be made. Raises Bad, Forbidden."""
        lacking = [pair for pair, one in known.items() if one is None]
        mark = self._ground.cache.mark
        with self._ground.tables.read() as connection:
            there = metrics.of_resources(
                connection, {resource for resource, _ in lacking}, {name for _, name in lacking}
            )
        for one in self._ground.cache.keep(there, mark):
            pair = (one.metric.resource_id or "", one.metric.name or "")
            if pair in known:
                known[pair] = one
        lacking = [pair for pair, one in known.items() if one is None]
        if not lacking:
            return
        if not create:
            texts = sorted(f"{resource}/{name}" for resource, name in lacking)
            raise Bad(f"Unknown metrics: {', '.join(texts)}")
        self._create_named(caller, asked, lacking, known)

    def _create_named(
        self,
        caller: Caller,
        asked: Mapping[tuple[str, str], Mapping[str, Any]],
        lacking: Sequence[tuple[str, str]],
        known: dict[tuple[str, str], Known | None],
    ) -> None:
        originals = {identity: original for original, identity in asked}
        names: dict[str, list[str]] = defaultdict(list)
        for resource, name in lacking:
            names[resource].append(name)
        mark = self._ground.cache.mark
        with self._ground.tables.write() as connection:
            about = registry.resource_type(connection, registry.GENERIC)
            found: dict[str, Resource] = {}
            unknown: list[dict[str, str]] = []
            for identity in names:
                there_now = resources.get(connection, about, identity)
                if there_now is None:
                    unknown.append({"resource_id": identity, "original_resource_id": originals[identity]})
                else:
                    found[identity] = there_now
            if unknown:
                raise Bad({"cause": "Unknown resources", "detail": unknown})
            made: list[Metric] = []
            for identity, owner in found.items():
                fresh = [
                    wanted(connection, name, asked[originals[identity], identity][name])
                    for name in names[identity]
                ]
                caller.enforce("create metric", {"creator": caller.creator, "resource_id": identity})
                try:
                    made += metrics.create(
                        connection, fresh, creator=caller.creator, tenant=caller.tenant, resource=owner
                    )
                except Taken:  # somebody made one meanwhile
                    there = metrics.of_resources(connection, [identity], names[identity])
                    have = {one.name for one in there}
                    made += there + metrics.create(
                        connection,
                        [one for one in fresh if one.name not in have],
                        creator=caller.creator,
                        tenant=caller.tenant,
                        resource=owner,
                    )
        for one in self._ground.cache.keep(made, mark):
            known[one.metric.resource_id or "", one.metric.name or ""] = one

    def post_columns(self, caller: Caller, named: Sequence[Metric], columns: Columns) -> Written:
        """Columns that were decoded elsewhere (line protocol, statsd). Raises Forbidden."""
        targets = [Known.of(metric) for metric in named]
        self._allowed(caller, targets)
        return self._append(targets, columns)

    @staticmethod
    def _allowed(caller: Caller, targets: Sequence[Known]) -> None:
        # the rule asks who made a metric, and a batch is of few makers
        for metric in {one.owner: one.metric for one in targets}.values():
            caller.enforce("post measures", metric.target())

    def _append(self, targets: Sequence[Known], columns: Columns) -> Written:
        """One append a tenant; nearly always there is one."""
        tenants = {one.owner[0] for one in targets}
        if len(tenants) > 1:
            return self._apart(targets, columns)
        if not len(columns.times_ms):
            return _NOTHING
        batch = Batch()
        batch.raw = b"".join([one.key for one in targets])
        batch.sizes = np.array([one.size for one in targets], np.int64)
        batch.starts = np.cumsum(batch.sizes) - batch.sizes
        batch.counts = np.array(columns.counts, np.uint32)
        batch.times, batch.values = columns.times_ms, columns.values
        batch.metadata = batch.histograms = 0
        written = self._ground.store.append_batch(tenants.pop(), batch)
        self._ground.late.count(written)
        return written

    def _apart(self, targets: Sequence[Known], columns: Columns) -> Written:
        ends = np.cumsum(columns.counts)
        total = _NOTHING
        for tenant in sorted({one.metric.tenant for one in targets}):
            mine = [k for k, one in enumerate(targets) if one.metric.tenant == tenant]
            spans = [slice(int(ends[k]) - columns.counts[k], int(ends[k])) for k in mine]
            part = self._append(
                [targets[k] for k in mine],
                Columns(
                    [columns.counts[k] for k in mine],
                    np.concatenate([columns.times_ms[span] for span in spans]),
                    np.concatenate([columns.values[span] for span in spans]),
                ),
            )
            total = Written(
                total.stored + part.stored,
                total.duplicates + part.duplicates,
                total.out_of_order + part.out_of_order,
                total.too_old + part.too_old,
            )
        return total

    # --- out ---------------------------------------------------------------------------------------------

    def get(
        self,
        caller: Caller,
        metric: Metric,
        *,
        method: str,
        granularity_ns: int | None,
        start_ns: int | None,
        stop_ns: int | None,
        resample: int | str | None,
    ) -> list[Measure]:
        """A metric's aggregates, coarse granularity first. Raises Missing, Forbidden."""
        caller.enforce("get measures", metric.target())
        policy = metric.policy
        assert policy is not None
        if method not in policy.methods:
            raise unknown_method(metric, method)
        if granularity_ns is not None and policy.level(granularity_ns) is None:
            raise no_aggregate(metric.id, method, granularity_ns)
        levels = policy.granularities if granularity_ns is None else [granularity_ns]
        found = read(self._ground.store.select, [metric], Asked(method, levels, start_ns, stop_ns, resample))
        step = resample if isinstance(resample, str) else None
        return [one for points in found[metric.id] for one in crossing.shown(points, step)]


def unknown_method(metric: Metric, method: str) -> Missing:
    """A method that the metric's policy does not have."""
    return Missing(
        {
            "cause": "Aggregation method does not exist for this metric",
            "detail": {"metric": metric.id, "aggregation_method": method},
        }
    )


def _named(body: Any, caller: Caller) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(resource as named, its id) → metric's name → what is given of it. Raises Bad."""
    if not isinstance(body, dict):
        raise unfit(v.Invalid("expected a dictionary"))
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for original, named in body.items():
        try:
            identity = attributes.resource_id(original, caller.creator)
        except ValueError as error:
            raise unfit(v.Invalid(str(error), path=[original])) from error
        if not isinstance(named, dict):
            raise unfit(v.Invalid("expected a dictionary for dictionary value", path=[original]))
        fit = {}
        for name, one in named.items():
            try:
                fit[name] = measures.named(one)
            except v.MultipleInvalid as error:
                error.prepend([original, name])
                raise unfit(error) from error
        found[original, identity] = fit
    return found
