"""Random queries over random data, answered by us and by Debian's Prometheus: alike, or the difference is listed."""

from pathlib import Path

import pytest

from promql import campaign, compare, peer, world
from promql.differences import as_in_2_42, for_2_42
from weatherglass.metrics.promql import parse

pytestmark = pytest.mark.skipif(not Path(peer.BINARY).exists(), reason="no prometheus on this machine")
SEED = 20_251
LONG_SEEDS = range(100, 112)


class Rig:
    def __init__(self, folder, seed):
        self.world = world.make(seed)
        self.select = world.select_over(self.world)
        self.server = peer.Prometheus(folder)
        try:
            self.server.wait().write(self.world)
        except BaseException:
            self.server.stop()
            raise


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    one = Rig(tmp_path_factory.mktemp("prometheus"), SEED)
    yield one
    one.server.stop()


def report(found):
    return "\n".join(f"{query}\n  {span}\n  {told}" for query, span, told in found)


def test_generated_queries_come_to_the_same(rig):
    counts, found = campaign.run(rig.server, rig.select, SEED, 500)
    assert not found, report(found)
    # The comparison means something only while most queries find series and some are refused.
    assert counts.answers > counts.asked * 0.6 and counts.refusals > 5, counts


def test_the_store_itself_comes_to_the_same(rig, store):
    for body in peer.bodies(rig.world):
        store.write("site", body)
    store.seal()
    _, found = campaign.run(rig.server, lambda *asked: store.select("site", *asked), SEED + 1, 60)
    assert not found, report(found)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_thousands_of_generated_queries(tmp_path, seed):
    one = Rig(tmp_path, seed)
    try:
        _, found = campaign.run(one.server, one.select, seed, 1000)
    finally:
        one.server.stop()
    assert not found, report(found)


def test_mutated_queries_are_taken_or_refused_alike(rig):
    found = list(campaign.parse_differences(rig.server, SEED, 600))
    assert not found, "\n".join(found)


def test_the_rules_of_2_42_are_only_lent(rig):
    """The replaced rules matter: with ours, a rate over a gap differs from the peer's in the listed way alone."""
    query = "stdvar(temperature{instance='a:1', job='api'})"
    infinite = next(
        at for labels, (times, values) in rig.world.items() if dict(labels).get("instance") == "a:1"
        and dict(labels)["__name__"] == "temperature" and dict(labels)["job"] == "api"
        for at, value in zip(times, values, strict=True) if value in (float("inf"), float("-inf"))
    )  # fmt: skip
    at = infinite // 1000 * 1000 + 1500
    theirs = compare.theirs(rig.server.ask(for_2_42(query), at, at, 1000))
    assert theirs == {(): {at: 0.0}}
    assert str(compare.ours(query, rig.select, at, at, 1000)[()][at]) == "nan"
    with as_in_2_42():
        assert compare.ours(query, rig.select, at, at, 1000) == theirs
    assert parse(query).end == len(query)
