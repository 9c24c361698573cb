"""Scripted scenarios, each a file: what happens to the cloud, what health must say, ask for, and tell of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from health.scripted import SITE, Cloud, load

from weatherglass.base.time import SECOND_NS
from weatherglass.inventory import Incident

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
WORDS = re.compile(r"\b(critical|warning|down|degraded|failed state|error state)\b", re.IGNORECASE)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path, tmp_path: Path) -> None:
    told = load(path)
    cloud = Cloud(tmp_path / "state", told.get("site", SITE), told.get("remedies"))
    try:
        cloud.run(told.get("calm", 60))
        start = cloud.now
        for step in told["steps"]:
            cloud.run(start + step.get("at", 0) - cloud.now)
            do(cloud, step)
        cloud.run(start + told["until"] - cloud.now)
        look(cloud, told.get("finally", {}))
        assert [f"{one.action} {one.entity}" for one in cloud.asked] == told.get("asked", [])
        found = cloud.incidents()
        assert len(found) == len(told.get("incidents", [])), [one.sentence for one in found]
        for incident, wanted in zip(found, told.get("incidents", []), strict=True):
            check(incident, wanted, cloud, start)
    finally:
        cloud.close()


def do(cloud: Cloud, step: dict[str, Any]) -> None:
    if "facts" in step:
        cloud.later(0, step["facts"])
        for name in step["facts"].get("replicas", {}):
            assert name in cloud.facts.replicas, name
    if "approve" in step:
        [incident] = cloud.inventory.incidents(open_only=True)
        assert cloud.health.approve(incident.id, step["approve"], "ada").accepted
    look(cloud, step)


def look(cloud: Cloud, wanted: dict[str, Any]) -> None:
    for name, state in wanted.get("states", {}).items():
        record = cloud.inventory.state(name)
        assert record.state.value == state, f"{name} at {cloud.now}: {record}"
        assert record.evidence, f"{name} is {state} without evidence"
    for name, kind in wanted.get("kinds", {}).items():
        record = cloud.inventory.state(name)
        assert (record.kind, record.because) == tuple(kind), f"{name} at {cloud.now}: {record}"
    if "sentence" in wanted:
        said = "".join(part if isinstance(part, str) else part[1] for part in cloud.health.sentence())
        assert re.search(wanted["sentence"], said), said
    if "blind" in wanted:
        assert re.search(wanted["blind"], "; ".join(cloud.health.blind()) or "no"), cloud.health.blind()
    if "threats" in wanted:
        assert len(cloud.health.threats()) == wanted["threats"], cloud.health.threats()


def check(incident: Incident, wanted: dict[str, Any], cloud: Cloud, start: float) -> None:
    shown = f"{incident.sentence}\n" + "\n".join(
        f"{(m.at_ns - incident.onset_ns) / 1e9:6.2f} {m.title}: {m.text}" for m in incident.moments
    )
    for name in ("cause", "kind", "state"):
        if name in wanted:
            assert getattr(incident, name) == wanted[name], f"{name}: {getattr(incident, name)}\n{shown}"
    if "first" in wanted:
        assert incident.affected[0] == wanted["first"], f"{incident.affected}\n{shown}"
    if "affected" in wanted:
        assert list(incident.affected) == wanted["affected"], f"{incident.affected}\n{shown}"
    if "moments" in wanted:
        assert [moment.title for moment in incident.moments] == wanted["moments"], shown
    if "remedies" in wanted:
        assert [f"{one['remedy']} {one['state']}" for one in incident.remedies] == wanted["remedies"], shown
    began = cloud.clock.now_ns() - int((cloud.now - start) * SECOND_NS)
    if "seen_within" in wanted:
        assert (incident.detected_ns - began) / SECOND_NS <= wanted["seen_within"], shown
    if "healed_within" in wanted:
        assert incident.healed_ns
        assert (incident.healed_ns - began) / SECOND_NS <= wanted["healed_within"], shown
    if "sentence" in wanted:
        assert re.search(wanted["sentence"], incident.sentence), shown
    told = " ".join([incident.sentence, *(moment.text for moment in incident.moments)])
    assert not WORDS.search(told), told
    assert "".join(p if isinstance(p, str) else p[1] for p in incident.parts) == incident.sentence
    assert [m.at_ns for m in incident.moments] == sorted(m.at_ns for m in incident.moments)
    for part in incident.parts:
        assert isinstance(part, str) or part[0] in cloud.inventory.graph().entities
