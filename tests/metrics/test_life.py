"""What time does to samples, against a dict of dicts: roll-ups, deletion, cleaning, merging, under any order of all."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics.conftest import Place
from weatherglass.base.errors import Unavailable
from weatherglass.engine.protocols import Samples
from weatherglass.metrics import Matcher, Policy, Rollup
from weatherglass.metrics.granularity import aggregate

NOW = 1_800_000_000_000
METHODS = ("mean", "max", "95pct", "count", "last", "std")
EVEN = Policy(
    "even",
    (Matcher("parity", "=", "even"),),
    None,
    (Rollup(100, METHODS), Rollup(20, ("mean", "max", "95pct", "count", "last", "std"))),
)
REST = Policy("rest", (Matcher("n", "=~", "1|3"),), None, (Rollup(50, METHODS),))
NAME = Matcher("__name__", "=", "m")

VALUE = st.one_of(st.integers(-50, 50).map(float), st.floats(-1e6, 1e6))
SAMPLES = st.lists(st.tuples(st.integers(0, 400), VALUE), max_size=6)
WRITE = st.tuples(st.just("write"), st.lists(st.tuples(st.integers(0, 5), SAMPLES), max_size=4))
RUN = st.tuples(st.just("run"), st.integers(0, 5), st.integers(0, 350), st.integers(1, 200))
DELETE = st.tuples(
    st.just("delete"), st.sampled_from(["even", "odd", ".+"]), st.integers(-5, 420), st.integers(0, 420)
)
PLAIN = st.sampled_from([("seal",), ("seal",), ("seal",), ("restart",), ("clean",), ("compact",)])
STEPS = st.lists(st.one_of(WRITE, WRITE, RUN, RUN, DELETE, PLAIN, PLAIN), max_size=18)


def labels(number):
    return (("__name__", "m"), ("n", str(number)), ("parity", "even" if number % 2 == 0 else "odd"))


def selected(found):
    return {
        one: dict(zip((times - NOW).tolist(), map(repr, values.tolist()), strict=True))
        for one, times, values in zip(found.labels, found.times, found.values, strict=True)
    }


def expected_rollup(model, length, method, start, end):
    first, last = (NOW + start) // length * length, (NOW + end) // length * length
    out = {}
    for one, held in model.items():
        times = np.array(sorted(held), np.int64) + NOW
        values = np.array([held[t - NOW] for t in times.tolist()], np.float64)
        starts, found = aggregate(times, values, length, [method]).of(method)
        here = (starts >= first) & (starts <= last)
        if here.any():
            out[one] = dict(zip(starts[here].tolist(), found[here].tolist(), strict=True))
    return out


def check_rollup(store, model, length, method, start, end):
    found = store.rollup("t", [NAME], length / 1000, method, NOW + start, NOW + end)
    got = {
        one: dict(zip(times.tolist(), values.tolist(), strict=True))
        for one, times, values in zip(found.labels, found.times, found.values, strict=True)
    }
    wanted = expected_rollup(model, length, method, start, end)
    assert {one: list(held) for one, held in got.items()} == {one: list(held) for one, held in wanted.items()}
    for one, held in wanted.items():
        np.testing.assert_allclose(list(got[one].values()), list(held.values()), rtol=1e-9, atol=1e-6)


def compacting(store):
    """A merge of whatever there is: the clock says that every stretch is over."""
    return store.compact()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=STEPS,
    method=st.sampled_from(METHODS),
    length=st.sampled_from([20, 50, 100, 200, 30]),
    start=st.integers(-5, 400),
    span=st.integers(0, 400),
)
def test_whatever_happens_it_is_a_dict_of_dicts(blank_tables, steps, method, length, start, span):
    folder = Path(tempfile.mkdtemp(prefix="metrics-life-"))
    place = Place(folder, blank_tables)
    options = {"policies": lambda tenant: (EVEN, REST), "retention_s": None}
    place.clock.advance(3 * 86400)
    try:
        store, model = place.open(**options), {}
        for step in steps:
            writes = []
            if step[0] == "write":
                writes = step[1]
            elif step[0] == "run":
                writes = [(step[1], [(step[2] + k, k / 8) for k in range(step[3])])]
            elif step[0] == "delete":
                _, parity, first, last = step
                matchers = [[NAME, Matcher("parity", "=~", parity)]]
                store.delete("t", matchers, NOW + first, NOW + last)
                for one, held in model.items():
                    if parity in (".+", dict(one)["parity"]):
                        for t in [t for t in held if first <= t <= last]:
                            del held[t]
            elif step[0] == "restart":
                store = place.open(**options)
            else:
                getattr(store, step[0])()
            if writes:
                store.append(
                    "t",
                    Samples(
                        [labels(n) for n, _ in writes],
                        [[NOW + t for t, _ in samples] for _, samples in writes],
                        [[v for _, v in samples] for _, samples in writes],
                    ),
                )
                for n, samples in writes:
                    model.setdefault(labels(n), {}).update(samples)
        model = {one: held for one, held in model.items() if held}
        assert selected(store.select("t", [NAME], NOW - 10, NOW + 1000)) == {
            one: {t: repr(held[t]) for t in sorted(held)} for one, held in model.items()
        }
        for _ in range(2):
            check_rollup(store, model, length, method, start, start + span)
            check_rollup(store, model, 100, "mean", -10, 1000)
            store = place.open(**options)
        store.seal()
        store.clean()
        store.compact()
        check_rollup(store, model, length, method, start, start + span)
        store.retire()
        assert sorted(map(str, store.series("t", [[NAME]]))) == sorted(str(dict(one)) for one in model)
    finally:
        place.close()
        place.tables.close()
        shutil.rmtree(folder)


def fill(store, series=4, points=1000, start=0, step=15_000, tenant="t"):
    times = [NOW + (start + k) * step for k in range(points)]
    store.append(
        tenant,
        Samples(
            [labels(n) for n in range(series)],
            [times] * series,
            [
                np.round(np.random.default_rng([n, start + 10**7]).uniform(20, 97, points), 2)
                for n in range(series)
            ],
        ),
    )


@pytest.fixture
def hourly():
    rollups = (
        Rollup(60_000, ("mean", "max", "min"), 30 * 86_400_000),
        Rollup(300_000, ("mean", "max", "95pct"), 60 * 86_400_000),
        Rollup(3_600_000, ("mean", "max", "95pct"), None),
    )
    return Policy("nodes", (NAME,), 86_400_000, rollups)


def test_raw_goes_by_policy_and_its_rollups_answer(place, hourly):
    coarse = Policy("nodes", hourly.matchers, hourly.keep_ms, hourly.rollups[1:])
    store = place.open(policies=lambda tenant: (coarse,), retention_s=3 * 86400)
    other = (("__name__", "other"), ("n", "1"), ("parity", "odd"))
    before = {}
    for day in range(6):
        fill(store, 3, 5760, day * 5760)
        store.append("t", Samples([other], [[NOW + day * 86_400_000]], [[1.0]]))
        place.clock.advance(86400)
        store.seal()
        store.retire()
        if day == 0:
            before = store.rollup("t", [NAME], 300, "95pct", NOW, NOW + 80_000_000)
    stats = store.stats()
    assert stats["block_samples"] < 3 * 2.1 * 5760 and stats["rollup_samples"] > 0
    for _ in range(2):
        after = store.rollup("t", [NAME], 300, "95pct", NOW, NOW + 80_000_000)
        assert [a.tolist() for a in after.values] == [b.tolist() for b in before.values]
        found = store.select("t", [NAME], NOW, NOW + 6 * 86_400_000)
        times = found.times[0]
        assert (np.diff(times) > 0).all()
        old, new = times < NOW + 4 * 86_400_000, times > NOW + 5 * 86_400_000
        assert ((times[old] + 1) % 300_000 == 0).all()
        assert np.diff(times)[old[1:]].max() == 300_000 and np.diff(times)[new[1:]].max() == 15_000
        mean = store.rollup("t", [NAME], 300, "mean", NOW, NOW + 80_000_000)
        assert found.values[0][:200].tolist() == mean.values[0][:200].tolist()
        (one,) = store.select("t", [Matcher("__name__", "=", "other")], NOW, NOW + 6 * 86_400_000).times
        assert len(one) in (3, 4)
        assert len(store.series("t", [[NAME]], NOW, NOW + 1000)) == 3
        store = place.open(policies=lambda tenant: (coarse,), retention_s=3 * 86400)


def test_a_rollup_that_would_weigh_more_is_derived_and_keeps_its_raw_samples(place, hourly):
    store = place.open(policies=lambda tenant: (hourly,))
    for day in range(3):
        fill(store, 3, 5760, day * 5760)
        place.clock.advance(86400)
        store.seal()
        store.retire()
    stats = store.stats()
    # 60 s of 15 s data: three columns beside the count for four samples. Raw stays for it, 300 and 3600 s are stored.
    assert stats["block_samples"] == 3 * 3 * 5760
    assert 0 < stats["rollup_bytes"] < stats["block_bytes"]
    found = store.rollup("t", [NAME], 60, "mean", NOW, NOW + 3 * 86_400_000)
    assert len(found.times[0]) == 3 * 1440
    assert len(store.rollup("t", [NAME], 86400, "max", NOW, NOW + 3 * 86_400_000).times[0]) in (3, 4)


def test_late_samples_are_in_the_rollup_before_and_after_the_seal(place, hourly):
    store = place.open(policies=lambda tenant: (hourly,))
    fill(store, 2, 2000)
    place.clock.advance(30_000)
    store.seal()
    late = NOW + 600_000 + 7
    for seal in (False, True):
        store.append("t", Samples([labels(0)], [[late + seal]], [[1e6 + seal]]))
        if seal:
            store.seal()
        found = store.rollup("t", [NAME], 300, "max", NOW, NOW + 20_000_000)
        peak = {one[1][1]: max(values) for one, values in zip(found.labels, found.values, strict=True)}
        assert peak["0"] == 1e6 + seal and peak["1"] <= 97.0


def test_a_policy_that_changes_makes_rollups_anew(place, hourly):
    store = place.open(retention_s=None)
    fill(store, 4, 1000)
    store.seal()
    place.clock.advance(30_000)
    store = place.open(policies=lambda tenant: (hourly,))
    assert store.stats()["rollup_samples"] == 0
    fill(store, 4, 100, 1000)
    store.seal()
    count = store.stats()["rollup_samples"]
    assert count > 0
    more = Policy(
        hourly.name, hourly.matchers, hourly.keep_ms, (*hourly.rollups[:2], Rollup(3_600_000, ("min",)))
    )
    store = place.open(policies=lambda tenant: (more,))
    fill(store, 4, 100, 1100)
    store.seal()
    found = store.rollup("t", [NAME], 3600, "min", NOW, NOW + 20_000_000)
    assert [len(times) for times in found.times] == [5, 5, 5, 5]
    assert store.rollup("t", [NAME], 3600, "95pct", NOW, NOW + 20_000_000).values[0][0] > 80


def test_samples_at_and_before_the_epoch(place):
    store = place.open(retention_s=None, policies=lambda tenant: (EVEN,))
    times = [-86_400_001, -50, 0, 1, 86_400_000]
    store.append("t", Samples([labels(0)], [times], [[float(k) for k in range(5)]]))
    for _ in range(2):
        found = store.select("t", [NAME], -(1 << 40), 1 << 40)
        assert found.times[0].tolist() == times
        rolled = store.rollup("t", [NAME], 0.1, "last", -(1 << 40), 1 << 40)
        assert rolled.times[0].tolist() == [-86_400_100, -100, 0, 86_400_000]
        assert rolled.values[0].tolist() == [0.0, 1.0, 3.0, 4.0]
        store.seal()
        store.retire()


def test_back_fill_of_a_year_lies_in_blocks_by_day(place):
    store = place.open(retention_s=None)
    fill(store, 2, 1000)
    store.seal()
    fill(store, 2, 24 * 60, -24 * 60 * 30, 60_000)  # a day, a month ago
    fill(store, 1, 365 * 24, -365 * 24, 3_600_000)  # a year before everything
    store.seal()
    blocks = store._partitions["t"].blocks
    assert all(
        block.summary.last_ms // 86_400_000 == block.summary.first_ms // 86_400_000 for block in blocks[:200]
    )
    found = store.select("t", [NAME, Matcher("n", "=", "0")], NOW - (1 << 40), NOW - 1)
    assert len(found.times[0]) == 365 * 24 + 1440 - 24
    assert (np.diff(found.times[0]) > 0).all()
    fill(store, 2, 24 * 30, -42_490, 61_000)
    store.seal()
    place.clock.advance(86400)
    found = store.select("t", [NAME, Matcher("n", "=", "0")], NOW - (1 << 40), NOW - 1)
    fewer = store.compact()
    again = store.select("t", [NAME, Matcher("n", "=", "0")], NOW - (1 << 40), NOW - 1)
    assert fewer > 0 and again.times[0].tolist() == found.times[0].tolist()


def test_many_small_blocks_become_few(place):
    store = place.open(policies=lambda tenant: (EVEN,), retention_s=None)
    for k in range(20):
        fill(store, 6, 10, k * 10)
        store.seal()
    before, count = store.select("t", [NAME], NOW, 1 << 42), store.stats()["blocks"]
    store.compact()
    assert store.stats()["blocks"] < count / 4
    after = store.select("t", [NAME], NOW, 1 << 42)
    assert [v.tolist() for v in after.values] == [v.tolist() for v in before.values]
    assert store.stats()["merges"] > 0


def test_deleted_series_are_gone_at_once_and_give_back_their_space(place):
    store = place.open(retention_s=None)
    fill(store, 4, 5000)
    assert store.delete("t", [[Matcher("n", "=~", "0|1")]]) == 2
    assert {dict(one)["n"] for one in store.select("t", [NAME], NOW, 1 << 42).labels} == {"2", "3"}
    assert {one["n"] for one in store.series("t", [[NAME]])} == {"2", "3"}
    fill(store, 1, 10)  # what comes afterwards stands
    assert len(store.select("t", [Matcher("n", "=", "0")], NOW, 1 << 42).times[0]) == 10
    before = store.stats()["block_bytes"]
    store = place.open(retention_s=None)
    assert len(store.select("t", [Matcher("n", "=", "0")], NOW, 1 << 42).times[0]) == 10
    assert store.clean() == 2 and store.clean() == 0  # it is cut at midnight
    assert store.stats()["block_bytes"] < before and store.stats()["deletions"] == 0
    assert store.stats()["block_samples"] == 10_000
    store = place.open(retention_s=None)
    assert len(store.select("t", [Matcher("n", "=", "0")], NOW, 1 << 42).times[0]) == 10
    assert len(store.select("t", [Matcher("n", "=", "1")], NOW, 1 << 42).times) == 0
    assert store.delete("nobody", [[NAME]]) == 0


def test_a_catalogue_that_cannot_be_written_leaves_no_files_behind(place, monkeypatch):
    store = place.open(policies=lambda tenant: (EVEN,), retention_s=None)
    for k in range(20):
        fill(store, 6, 10, k * 10)
        store.seal()
    before = selected(store.select("t", [NAME], NOW, 1 << 42))
    files = sorted((place.metrics_folder / "blocks").iterdir())

    def refused():
        raise Unavailable("tables: disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(place.tables, "write", refused)
        for _ in range(3):
            with pytest.raises(Unavailable):
                store.compact()
            with pytest.raises(Unavailable):
                store.delete("t", [[NAME]])
    left = [path for path in (place.metrics_folder / "blocks").iterdir() if path.suffix == ".block"]
    assert sorted(left) == [path for path in files if path.suffix == ".block"]
    assert selected(store.select("t", [NAME], NOW, 1 << 42)) == before
    assert store.compact() > 0 and selected(store.select("t", [NAME], NOW, 1 << 42)) == before
    assert selected(place.open(retention_s=None).select("t", [NAME], NOW, 1 << 42)) == before


def test_promql_reads_past_raw_retention(place, hourly):
    coarse = Policy("nodes", hourly.matchers, hourly.keep_ms, hourly.rollups[1:])
    store = place.open(policies=lambda tenant: (coarse,))
    for day in range(3):
        fill(store, 2, 5760, day * 5760)
        place.clock.advance(86400)
        store.seal()
        store.retire()
    start = (NOW // 300_000 + 2) * 300_000
    found = store.query_range("t", "avg_over_time(m[5m])", start, start + 80_000_000, 300_000)
    mean = store.rollup("t", [NAME], 300, "mean", start - 300_000, start + 80_000_000 - 300_000)
    np.testing.assert_allclose(found.values[0], mean.values[0])
    assert found.present.all()
