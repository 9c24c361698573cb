"""Resources, metrics, and how both are answered. Pure values."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weatherglass.engine.protocols import Labels
from weatherglass.metrics.gnocchi import times
from weatherglass.metrics.gnocchi.attributes import ResourceType, shown_attributes
from weatherglass.metrics.gnocchi.policies import Policy

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_:]")
METRIC_LABEL = "gnocchi_metric"
CURRENT = -1  # the revision of a resource as it is now


def _makers(creator: str | None) -> dict[str, str | None]:
    if creator is None:
        return {"created_by_user_id": None, "created_by_project_id": None}
    user, _, project = creator.partition(":")
    return {"created_by_user_id": user, "created_by_project_id": project}


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it is now, or as one revision of its history had it. Instants are µs since the epoch."""

    id: str
    type: str
    creator: str | None
    original_resource_id: str
    user_id: str | None
    project_id: str | None
    started_at: int
    ended_at: int | None
    revision_start: int
    revision_end: int | None
    revision: int
    attributes: Mapping[str, Any]
    about: ResourceType  # whose attributes are shown; `generic` shows none
    metrics: Mapping[str, str] | None = None  # name → id, where they were looked up

    @property
    def etag(self) -> str:
        text = self.id + (times.shown_us(self.revision_start) or "")
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    @property
    def modified_s(self) -> int:
        return self.revision_start // 1_000_000

    def value(self, name: str) -> Any:
        """What the resource has under a name, as it is answered."""
        return self.shown().get(name)

    def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": self.id,
            "type": self.type,
            "creator": self.creator,
            "started_at": times.shown_us(self.started_at),
            "revision_start": times.shown_us(self.revision_start),
            "ended_at": times.shown_us(self.ended_at),
            "user_id": self.user_id,
            "project_id": self.project_id,
            "original_resource_id": self.original_resource_id,
            "revision_end": times.shown_us(self.revision_end),
            **shown_attributes(self.about, self.attributes),
        }
        if self.metrics is not None:
            found["metrics"] = dict(self.metrics)
        return found | _makers(self.creator)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: which policy aggregates it, whose it is, and the labels of its series in the store."""

    id: str
    tenant: str
    series: str  # JSON of the labels; only who writes samples needs them read
    policy_name: str
    creator: str | None
    resource_id: str | None
    name: str | None
    unit: str | None
    policy: Policy | None = field(default=None, compare=False)
    resource: Resource | None = field(default=None, compare=False)

    def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": self.id,
            "creator": self.creator,
            "name": self.name,
            "unit": self.unit,
        }
        if self.resource is not None:
            found["resource"] = self.resource.shown()
        else:
            found["resource_id"] = self.resource_id
        if self.policy is not None:
            found["archive_policy"] = self.policy.shown()
        else:
            found["archive_policy_name"] = self.policy_name
        return found | _makers(self.creator)

    @property
    def labels(self) -> Labels:
        return tuple((name, value) for name, value in json.loads(self.series))

    def target(self) -> dict[str, Any]:
        """What the rules may ask about."""
        found: dict[str, Any] = {"id": self.id, "creator": self.creator, **_makers(self.creator)}
        if self.resource is not None:
            found["resource"] = {"project_id": self.resource.project_id}
        return found


def labels_of(
    metric: str, name: str | None, resource: Resource | None = None, unit: str | None = None
) -> Labels:
    """The labels that a metric's samples are stored under, so that PromQL finds them too."""
    legal = _ILLEGAL.sub("_", name or "") or "gnocchi"
    if legal[0].isdigit():
        legal = "_" + legal
    found = {"__name__": legal, METRIC_LABEL: metric, "metric_name": name, "unit": unit}
    if resource is not None:
        found |= {
            "resource": resource.original_resource_id,
            "resource_id": resource.id,
            "resource_type": resource.type,
            "project_id": resource.project_id,
        }
    return tuple(sorted((key, value) for key, value in found.items() if value))
