"""Aggregates over several metrics: `/aggregates`, the deprecated `/aggregation`, and the search among values."""

from __future__ import annotations

import fnmatch
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import voluptuous as v

from weatherglass.metrics.gnocchi import crossing, filters, grouping, metrics, operations, registry
from weatherglass.metrics.gnocchi.crossing import Fill, Measure, Reference
from weatherglass.metrics.gnocchi.desks.ground import Ground
from weatherglass.metrics.gnocchi.desks.measures import unknown_method
from weatherglass.metrics.gnocchi.desks.resources import Resources
from weatherglass.metrics.gnocchi.errors import (
    Bad,
    Missing,
    cannot_aggregate,
    no_aggregate,
    no_metric,
    unfit,
)
from weatherglass.metrics.gnocchi.filters import Filter
from weatherglass.metrics.gnocchi.grouping import answered
from weatherglass.metrics.gnocchi.model import Metric, Resource
from weatherglass.metrics.gnocchi.operations import Node
from weatherglass.metrics.gnocchi.reading import Asked, Points, read
from weatherglass.metrics.gnocchi.resources import ORDER
from weatherglass.metrics.gnocchi.rules import Caller


@dataclass(frozen=True, slots=True)
class Question:
    """What an aggregation is asked over: the span (ns), the granularity, and how gaps are treated."""

    start_ns: int | None = None
    stop_ns: int | None = None
    granularity_ns: int | None = None
    needed_overlap: float = 100.0
    fill: Fill = None


class Aggregates:
    """Operations over metrics named by id, or by name among the resources that a search finds."""

    def __init__(self, ground: Ground, resources: Resources) -> None:
        self._ground, self._resources = ground, resources

    # --- /v1/aggregates ----------------------------------------------------------------------------------

    def fetch(
        self,
        caller: Caller,
        body: Any,
        question: Question,
        *,
        groupby: Sequence[str] = (),
        details: bool = False,
        use_history: bool = False,
    ) -> Any:
        """Raises Bad, Missing, Forbidden."""
        fit = self._fit(caller, body)
        tree = fit["operations"]
        named = operations.references(tree)
        if not named:
            raise Bad(
                {
                    "cause": "Operations is invalid",
                    "reason": "At least one 'metric' is required",
                    "detail": tree,
                }
            )
        if "resource_type" not in fit:
            return self._by_id(caller, tree, named, question, details=details)
        kind, search, by = fit["resource_type"], fit["search"], sorted(set(groupby))
        if by and use_history:
            results = self._with_history(caller, kind, search, tree, named, question, by, details=details)
        else:
            found = self._resources.listed(
                caller, kind, None, rule="search resource", tree=search, sorts=tuple(by) or ORDER
            )
            if not by:
                return self._by_name(found, tree, named, question, details=details)
            results = []
            for group, members in grouping.grouped(found, by):
                try:
                    one = self._by_name(members, tree, named, question, details=details)
                except Missing as error:
                    if not _no_such(error):
                        raise
                    continue
                results.append({"group": group, "measures": one})
        if not results:
            raise no_metric(sorted({name for name, _ in named}))
        return results

    def _fit(self, caller: Caller, body: Any) -> dict[str, Any]:
        def text(value: Any) -> Filter:
            if not isinstance(value, str):
                raise v.Invalid("expected str")
            return filters.parsed(value, caller.creator)

        def kind(value: Any) -> str:
            with self._ground.tables.read() as connection:
                try:
                    return registry.resource_type(connection, value).name
                except Missing as error:
                    raise Bad({"cause": "Resource type does not exist", "detail": value}) from error

        schema = v.Schema(
            v.Any(
                {"operations": operations.checked},
                {
                    "operations": operations.checked,
                    "resource_type": kind,
                    "search": v.Any(filters.schema_for(caller.creator), text),
                },
            ),
            required=True,
        )
        try:
            fit: dict[str, Any] = schema(body)
        except v.Invalid as error:
            raise unfit(error) from error
        return fit

    def _by_id(
        self,
        caller: Caller,
        tree: Node,
        named: Sequence[tuple[str, str]],
        question: Question,
        *,
        details: bool,
    ) -> Any:
        try:
            ids = {name: str(uuid.UUID(name)) for name, _ in named}
        except ValueError as error:
            raise Bad(
                {
                    "cause": "Invalid metric references",
                    "reason": str(error),
                    "detail": [list(one) for one in named],
                }
            ) from error
        with self._ground.tables.read() as connection:
            found = {one.id: one for one in metrics.found(connection, ids.values())}
        if missing := sorted(set(ids.values()) - found.keys()):
            raise Missing(
                {"cause": "Unknown metrics", "reason": "Provided metrics don't exists", "detail": missing}
            )
        for metric in found.values():
            caller.enforce("get metric", metric.target())
        references = [Reference(found[ids[name]], method, (name, method)) for name, method in named]
        answer: dict[str, Any] = {"measures": self._measures(references, tree, question)}
        if details:
            answer["references"] = [metric.shown() for metric in found.values()]
        return answer

    def _named(
        self, resources: Sequence[Resource], named: Sequence[tuple[str, str]]
    ) -> list[tuple[Resource, list[Reference]]]:
        """The metrics of each resource that the names (with wildcards) find."""
        patterns = {pattern for pattern, _ in named}
        exact = None if any(set(pattern) & set("*?[") for pattern in patterns) else patterns
        with self._ground.tables.read() as connection:
            owned: dict[str, list[Metric]] = {}
            for metric in metrics.of_resources(connection, {one.id for one in resources}, exact):
                owned.setdefault(metric.resource_id or "", []).append(metric)
        return [
            (
                resource,
                [
                    Reference(metric, method, (pattern, method), resource)
                    for pattern, method in named
                    for metric in owned.get(resource.id, ())
                    if fnmatch.fnmatch(metric.name or "", pattern)
                ],
            )
            for resource in resources
        ]

    def _by_name(
        self,
        resources: Sequence[Resource],
        tree: Node,
        named: Sequence[tuple[str, str]],
        question: Question,
        *,
        details: bool,
    ) -> dict[str, Any]:
        references = [one for _, few in self._named(resources, named) for one in few]
        if not references:
            raise no_metric(sorted({name for name, _ in named}))
        answer: dict[str, Any] = {"measures": self._measures(references, tree, question)}
        if details:
            answer["references"] = _once(one.resource for one in references if one.resource)
        return answer

    def _with_history(
        self,
        caller: Caller,
        kind: str,
        search: Filter,
        tree: Node,
        named: Sequence[tuple[str, str]],
        question: Question,
        by: Sequence[str],
        *,
        details: bool,
    ) -> list[dict[str, Any]]:
        """Groups of resources as they were: a resource that changed group is in each for its time."""
        period = self._period(question)
        tree_of_search = {"and": [period, search]} if period and search else period or search
        revisions = self._resources.listed(
            caller, kind, None, rule="search resource", tree=tree_of_search, history=True, sorts=tuple(by)
        )
        windows = grouping.windows(revisions, question.start_ns, question.stop_ns)
        results = []
        for group, members in grouping.in_groups(windows, by):
            measures: list[Measure] = []
            seen: list[Resource] = []
            for window in members:
                [(_, references)] = self._named([window.resource], named)
                if not references:
                    continue
                span = Question(
                    window.start_ns,
                    window.stop_ns,
                    question.granularity_ns,
                    question.needed_overlap,
                    question.fill,
                )
                found = self._measures(references, tree, span)
                if "aggregated" not in found:
                    raise Bad("use_history needs an operation that aggregates")
                measures += grouping.weighed(found["aggregated"], window.start_ns, window.stop_ns)
                seen.append(window.resource)
            if measures:
                told = _once(seen) if details else None
                results.append(answered(group, {"aggregated": grouping.summed(measures)}, told))
        return results

    @staticmethod
    def _period(question: Question) -> Filter | None:
        if question.start_ns is None or question.stop_ns is None:
            return None
        return {
            "and": [
                {"<": {"revision_start": question.stop_ns / 1e9}},
                {
                    "or": [
                        {">=": {"revision_end": question.start_ns / 1e9}},
                        {"=": {"revision_end": None}},
                    ]
                },
            ]
        }

    def _measures(self, references: Sequence[Reference], tree: Node, question: Question) -> dict[str, Any]:
        asked = None if question.granularity_ns is None else [question.granularity_ns]
        levels = crossing.granularities(references, asked)
        points = self._read(references, levels, question)
        return crossing.crossed(
            references,
            points,
            tree,
            start_ns=question.start_ns,
            stop_ns=question.stop_ns,
            needed_overlap=question.needed_overlap,
            fill=question.fill,
        )

    def _read(
        self, references: Sequence[Reference], levels: Sequence[int], question: Question
    ) -> dict[tuple[str, str], list[Points]]:
        """The points of every (metric, method): the store is asked once a method, not once a metric."""
        found: dict[tuple[str, str], list[Points]] = {}
        for method in dict.fromkeys(one.method for one in references):
            mine = list({one.metric.id: one.metric for one in references if one.method == method}.values())
            asked = Asked(method, levels, question.start_ns, question.stop_ns)
            for metric, points in read(self._ground.store.select, mine, asked).items():
                found[metric, method] = points
        return found

    # --- /v1/aggregation ---------------------------------------------------------------------------------

    def across_ids(self, caller: Caller, ids: Sequence[str], question: Question, **how: Any) -> list[Measure]:
        with self._ground.tables.read() as connection:
            found = metrics.found(connection, ids)
        if missing := sorted(set(ids) - {one.id for one in found}):
            raise no_metric(missing[0])
        return self.across(caller, found, question, **how)

    def across_resources(
        self,
        caller: Caller,
        kind: str,
        name: str,
        question: Question,
        *,
        tree: Filter | None,
        groupby: Sequence[str],
        **how: Any,
    ) -> list[Any]:
        """The metric `name` of the resources that a filter finds, in groups where asked. Raises Bad, Missing."""
        by = sorted(set(groupby))
        try:
            found = self._resources.listed(
                caller, kind, None, rule="search resource", tree=tree, sorts=tuple(by)
            )
        except Bad as error:
            if by and str(error.said).startswith("Invalid pagination"):
                raise Bad("Invalid groupby attribute") from error
            raise
        if not by:
            return self.across(caller, self._of(found, name), question, **how)
        return [
            {"group": group, "measures": self.across(caller, self._of(members, name), question, **how)}
            for group, members in grouping.grouped(found, by)
        ]

    def _of(self, resources: Sequence[Resource], name: str) -> list[Metric]:
        with self._ground.tables.read() as connection:
            owned = metrics.of_resources(connection, {one.id for one in resources}, [name])
        by_resource = {one.resource_id: one for one in owned}
        return [by_resource[one.id] for one in resources if one.id in by_resource]

    def across(
        self,
        caller: Caller,
        found: Sequence[Metric],
        question: Question,
        *,
        method: str,
        again: str | None = None,
        resample: int | str | None = None,
    ) -> list[Measure]:
        """One series out of many metrics. A single metric's is its own. Raises Bad, Missing, Forbidden."""
        for metric in found:
            caller.enforce("get metric", metric.target())
        if not found:
            return []
        levels = self._levels(found, question, method)
        if len(found) == 1:
            if found[0].policy and method not in found[0].policy.methods:
                raise unknown_method(found[0], method)
            asked = Asked(method, levels, question.start_ns, question.stop_ns, resample)
            points = read(self._ground.store.select, found, asked)[found[0].id]
            step = resample if isinstance(resample, str) else None
            return [one for part in points for one in crossing.shown(part, step)]
        for metric in found:
            if metric.policy and method not in metric.policy.methods:
                raise no_aggregate(metric.id, method, metric.policy.levels[0].granularity_ns)
        tree: Node = ["metric", *([metric.id, method] for metric in found)]
        if resample is not None:
            tree = ["resample", method, resample, tree]
        tree = ["aggregate", again or method, tree]
        if (again or method) not in operations.OVER:
            raise Bad(f"Aggregation method '{again or method}' cannot be applied to several metrics")
        references = [Reference(metric, method, (metric.id, method)) for metric in found]
        points_of = self._read(references, levels, question)
        crossed = crossing.crossed(
            references,
            points_of,
            tree,
            start_ns=question.start_ns,
            stop_ns=question.stop_ns,
            needed_overlap=question.needed_overlap,
            fill=question.fill,
        )
        result: list[Measure] = crossed["aggregated"]
        return result

    @staticmethod
    def _levels(found: Sequence[Metric], question: Question, method: str) -> list[int]:
        if question.granularity_ns is None:
            have = Counter(g for metric in found if metric.policy for g in metric.policy.granularities)
            levels = [g for g, count in have.items() if count == len(found)]
            if not levels:
                raise cannot_aggregate("No granularity match", [[metric.id, method] for metric in found])
        else:
            levels = [question.granularity_ns]
        for metric in found:
            for granularity in levels:
                if metric.policy and metric.policy.level(granularity) is None:
                    raise no_aggregate(metric.id, method, granularity)
        return sorted(levels, reverse=True)

    # --- /v1/search/metric -------------------------------------------------------------------------------

    def search(
        self,
        caller: Caller,
        ids: Sequence[str],
        predicate: Callable[[float], Any],
        question: Question,
        *,
        method: str,
        granularities: Sequence[int] | None,
    ) -> dict[str, list[Measure]]:
        """The measures of each metric whose value the predicate holds for. Raises Bad."""
        with self._ground.tables.read() as connection:
            found = metrics.found(connection, ids)
        answer = {}
        for metric in found:
            assert metric.policy is not None
            levels = metric.policy.granularities if granularities is None else list(granularities)
            for granularity in levels:
                if metric.policy.level(granularity) is None:
                    raise Bad(
                        {
                            "cause": "Aggregation does not exist",
                            "detail": {
                                "granularity": granularity / 1e9,
                                "metric": metric.id,
                                "aggregation_method": method,
                            },
                        }
                    )
            asked = Asked(method, levels, question.start_ns, question.stop_ns)
            points = read(self._ground.store.select, [metric], asked)[metric.id]
            answer[metric.id] = [one for part in points for one in crossing.shown(part) if predicate(one[2])]
        return answer

    def may_search(self, caller: Caller, ids: Sequence[str]) -> None:
        """Asked before a body is read."""
        with self._ground.tables.read() as connection:
            for metric in metrics.found(connection, ids):
                caller.enforce("search metric", metric.target())


def _no_such(error: Missing) -> bool:
    return isinstance(error.said, str) and error.said.startswith("Metric [")


def _once(resources: Iterable[Resource]) -> list[dict[str, Any]]:
    return [one.shown() for one in {(one.id, one.revision): one for one in resources}.values()]
