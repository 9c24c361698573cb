"""Loghub's eight systems, one configuration for all: a floor under every system, the goals over their mean."""

import pytest

from peers import data
from templates.measure import SYSTEMS, loghub, scores
from weatherglass.logs.templates import Miner

FLOORS = {"Apache": 1, "BGL": 0.97, "HDFS": 1, "Hadoop": 0.98, "Linux": 0.99, "OpenSSH": 0.99, "OpenStack": 0.99, "Zookeeper": 0.99}  # fmt: skip


def mine(system: str, step: int) -> tuple[float, ...]:
    data("loghub", system)
    rows = loghub(system)
    messages = [row["Content"] for row in rows]
    miner = Miner()
    ids: list[int] = []
    for at in range(0, len(messages), step):
        part = messages[at : at + step]
        ids += miner.add([""] * len(part), part).ids.tolist()
    final = [miner.alias(id) for id in ids]
    texts = [miner.template(id).text for id in final]
    return scores([row["EventTemplate"] for row in rows], final, texts)


@pytest.mark.parametrize("system", SYSTEMS)
def test_grouping(system):
    whole = mine(system, 2000)
    assert whole[0] >= FLOORS[system]
    assert mine(system, 97) == whole


def test_the_goals():
    ga, fga, _, fta = (
        sum(column) / len(SYSTEMS) for column in zip(*(mine(s, 2000) for s in SYSTEMS), strict=True)
    )
    assert ga >= 0.98
    assert fga >= 0.93
    assert fta >= 0.60
