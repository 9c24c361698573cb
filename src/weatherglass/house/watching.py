"""A cloud read once, for `weatherglass adopt`: which one clouds.yaml means, and what would be watched of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from weatherglass.base.errors import NotFound
from weatherglass.metrics.openstack import Cloud, asking, entities, read_clouds, samples
from weatherglass.metrics.openstack.client import Client
from weatherglass.metrics.openstack.clouds import choose


def chosen(path: Path, name: str) -> tuple[Cloud, dict[str, Any]]:
    """The cloud called `name`, or the only one; and its entry as the file has it. Raises NotFound, Invalid."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"{path} cannot be read: {error}", mend="--clouds clouds.yaml") from None
    cloud = choose(read_clouds(text, str(path)), name, str(path))
    return cloud, yaml.safe_load(text)["clouds"][cloud.name]


def look(cloud: Cloud) -> dict[str, Any]:
    """What would be watched. Only reads are sent, and the log-in. Raises Unauthenticated, Unavailable."""
    client = Client(cloud)
    try:
        answers = asking.ask(client)
    finally:
        client.close()
    seen = entities.seen(answers)
    return {
        "cloud": cloud.name,
        "requests": answers.requests,
        "samples": len(samples.samples(answers)),
        "entities": len(seen.entities),
        "edges": len(seen.edges),
        "failed": answers.failed,
        "denied": answers.denied,
        "counts": dict(Counter(one.kind for one in seen.entities.values())),
        "unwell": {id: why for id, (state, why) in seen.states.items() if state in ("sick", "dying", "dead")},
    }
