"""Gnocchi's model over the real store: late measures, policies that change, deletion, pages, plans, statsd."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from weatherglass.house.alone import Alone, Asked
from weatherglass.metrics.gnocchi import ROOM, Bad, Caller, Gnocchi, Missing, Page, Question, Statsd
from weatherglass.metrics.gnocchi.resources import ORDER
from weatherglass.metrics.granularity import aggregate
from weatherglass.metrics.types import Matcher

HOUR = 3600


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Alone]:
    made = Alone(Asked(frozenset({"metrics"}), tmp_path, no_auth=True, bare=True, gnocchi_auth="basic"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def gnocchi(house: Alone) -> Gnocchi:
    return house.rooms.more["gnocchi"]


@pytest.fixture
def admin(gnocchi: Gnocchi) -> Caller:
    caller = gnocchi.caller(creator="admin", roles=frozenset({"admin"}), tenant="site")
    gnocchi.policies.create(
        caller,
        {
            "name": "fine",
            "aggregation_methods": ["mean", "max", "count", "rate:max", "95pct"],
            "definition": [{"granularity": 60}, {"granularity": HOUR, "points": 24}],
        },
    )
    return caller


def read(gnocchi, admin, metric, method="mean", granularity=60, **span):
    asked = {
        "granularity_ns": granularity * 10**9,
        "start_ns": None,
        "stop_ns": None,
        "resample": None,
        **span,
    }
    return [
        (moment[11:19], value)
        for moment, _, value in gnocchi.measures.get(
            admin, gnocchi.metrics.get(metric), method=method, **asked
        )
    ]


def points(*pairs):
    return [
        {"timestamp": 1_700_000_000 - 1_700_000_000 % HOUR + second, "value": value}
        for second, value in pairs
    ]


def test_tables_are_as_the_migrations_make_them(house):
    assert house.tables.differences(ROOM) == []


def test_aggregates_are_readable_at_once_and_right_for_late_measures(gnocchi, admin, house):
    metric = gnocchi.metrics.create(admin, {"name": "cpu", "archive_policy_name": "fine"})
    gnocchi.measures.post(admin, metric, points((0, 1.0), (70, 3.0), (100, 5.0)))
    assert read(gnocchi, admin, metric.id) == [("22:00:00", 1.0), ("22:01:00", 4.0)]
    house.rooms.metrics.seal()
    late = gnocchi.measures.post(admin, metric, points((30, 4.0), (80, 10.0)))
    assert late.out_of_order + late.stored >= 2
    assert read(gnocchi, admin, metric.id) == [("22:00:00", 2.5), ("22:01:00", 6.0)]
    assert read(gnocchi, admin, metric.id, "rate:max") == [("22:00:00", 3.0), ("22:01:00", 7.0)]
    again = gnocchi.measures.post(admin, metric, points((0, 9.0)))  # the last write of an instant counts
    assert again.stored + again.duplicates >= 1
    assert read(gnocchi, admin, metric.id)[0] == ("22:00:00", 6.5)
    assert gnocchi.status(admin, details=True)["storage"]["summary"] == {"metrics": 0, "measures": 0}


def test_samples_are_in_promql_too(gnocchi, admin, house):
    resource = gnocchi.resources.create(
        admin,
        "generic",
        {"id": "vm", "project_id": "p", "metrics": {"cpu.util": {"archive_policy_name": "fine"}}},
    )
    gnocchi.measures.post_named(admin, {"vm": {"cpu.util": points((0, 7.0))}}, create=False)
    found = house.rooms.metrics.select("site", [Matcher("__name__", "=", "cpu_util")], 0, 1 << 52)
    [labels] = found.labels
    assert dict(labels)["gnocchi_metric"] == resource.metrics["cpu.util"]
    assert dict(labels)["project_id"] == "p"
    assert dict(labels)["metric_name"] == "cpu.util"


def test_a_rate_needs_the_sample_before_however_old(gnocchi, admin):
    metric = gnocchi.metrics.create(admin, {"archive_policy_name": "fine"})
    gnocchi.measures.post(admin, metric, points((0, 1.0), (9 * HOUR, 11.0)))
    start = (1_700_000_000 - 1_700_000_000 % HOUR + 9 * HOUR) * 10**9
    assert read(gnocchi, admin, metric.id, "rate:max", start_ns=start) == [("07:00:00", 10.0)]


def test_a_metric_gets_another_policy_with_its_past(gnocchi, admin):
    gnocchi.policies.create(admin, {"name": "raw", "definition": [{"granularity": 1}]})
    metric = gnocchi.metrics.create(admin, {"archive_policy_name": "fine"})
    gnocchi.measures.post(admin, metric, points((0, 1.0), (1, 3.0)))
    gnocchi.metrics.move(admin, gnocchi.metrics.get(metric.id), {"archive_policy_name": "raw"})
    assert read(gnocchi, admin, metric.id, granularity=1) == [("22:00:00", 1.0), ("22:00:01", 3.0)]
    with pytest.raises(Bad):
        gnocchi.metrics.move(admin, gnocchi.metrics.get(metric.id), {"archive_policy_name": "none"})


def test_a_policy_gets_other_methods(gnocchi, admin):
    metric = gnocchi.metrics.create(admin, {"archive_policy_name": "fine"})
    gnocchi.measures.post(admin, metric, points((0, 1.0), (1, 3.0)))
    body = {
        "definition": [{"granularity": 60}, {"granularity": HOUR, "points": 1}],
        "aggregation_methods": ["min"],
    }
    gnocchi.policies.change(admin, "fine", body)
    assert read(gnocchi, admin, metric.id, "min") == [("22:00:00", 1.0)]
    with pytest.raises(Missing):
        read(gnocchi, admin, metric.id, "mean")


def test_only_so_many_points_as_the_policy_keeps(gnocchi, admin):
    metric = gnocchi.metrics.create(admin, {"archive_policy_name": "fine"})
    gnocchi.measures.post(admin, metric, points(*((hour * HOUR, float(hour)) for hour in range(30))))
    found = read(gnocchi, admin, metric.id, granularity=HOUR)
    assert [value for _, value in found] == [float(hour) for hour in range(6, 30)]
    assert len(read(gnocchi, admin, metric.id)) == 30


def test_what_is_deleted_is_gone_from_the_store(gnocchi, admin, house):
    metric = gnocchi.metrics.create(admin, {"archive_policy_name": "fine"})
    gnocchi.measures.post(admin, metric, points((0, 1.0)))
    gnocchi.metrics.delete(admin, metric)
    with pytest.raises(Missing):
        gnocchi.metrics.get(metric.id)
    with pytest.raises(Bad, match="Unknown metrics"):
        gnocchi.measures.post_batch(admin, {metric.id: points((1, 1.0))})
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = house.rooms.metrics.select("site", [Matcher("gnocchi_metric", "=", metric.id)], 0, 1 << 52)
        if not found.labels:
            return
        time.sleep(0.1)
    pytest.fail("the janitor did not come")


def test_pages_are_the_whole_list_in_order(gnocchi, admin):
    chance = random.Random(7)
    for k in range(40):
        body = {
            "id": f"r{k}",
            "started_at": chance.choice([1, 2, 3]),
            "user_id": chance.choice([None, "a", "b"]),
        }
        if chance.random() < 0.5:
            body["ended_at"] = 10 + chance.randrange(3)
        gnocchi.resources.create(admin, "generic", body)
    for sorts in (
        ORDER, ("ended_at:desc",), ("user_id:asc-nullslast", "started_at:desc"), ("ended_at:asc-nullslast", "user_id"),
        ("ended_at:desc-nullsfirst", "user_id:desc-nullslast"),
    ):  # fmt: skip
        whole = [one.id for one in gnocchi.resources.listed(admin, "generic", Page(1000, None, tuple(sorts)))]
        assert len(whole) == 40
        paged, marker = [], None
        while True:
            page = gnocchi.resources.listed(admin, "generic", Page(7, marker, tuple(sorts)))
            paged += [one.id for one in page]
            if len(page) < 7:
                break
            marker = page[-1].id
        assert paged == whole


def test_lists_come_from_indexes(gnocchi, admin, house):
    """A page of 10,000 resources, a resource's metrics, its history: none of them reads a whole table."""
    gnocchi.resources.create(admin, "generic", {"id": "r", "metrics": {"m": {"archive_policy_name": "fine"}}})
    gnocchi.resources.change(
        admin, "generic", gnocchi.resources.identity(admin, "r"), lambda: {"user_id": "x"}
    )
    seen: list[str] = []
    with house.tables.read() as connection:
        engine = connection.engine
    sa.event.listen(
        engine, "before_cursor_execute", lambda c, cursor, text, *rest: seen.append((text, rest[0]))
    )
    identity = gnocchi.resources.identity(admin, "r")
    gnocchi.resources.listed(admin, "generic", Page(10, None, ORDER))
    gnocchi.resources.listed(admin, "generic", Page(10, identity, ORDER))
    gnocchi.resources.listed(admin, "generic", None, tree={"=": {"original_resource_id": "r"}})
    gnocchi.resources.listed(admin, "generic", None, tree={"=": {"project_id": "p"}})
    gnocchi.resources.history(admin, "generic", identity, Page(10, None, ORDER), details=False)
    gnocchi.metrics.named("generic", identity, "m")
    gnocchi.metrics.listed(admin, {"name": "m"}, Page(10, None, ("id",)))
    assert len(seen) > 10
    with house.tables.read() as connection:
        for text, parameters in [one for one in seen if one[0].lstrip().startswith("SELECT")]:
            if (
                "gnocchi_resources" not in text
                and "gnocchi_metrics" not in text
                and "gnocchi_history" not in text
            ):
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters).all()
            for row in plan:
                step = row[3]
                assert "by_status" not in step or "LIMIT" in text, f"{step}\n{text}"
                bare = step.startswith("SCAN gnocchi_") and "USING" not in step
                assert not bare, f"{step}\n{text}"


def test_crossed_aggregates_are_what_numpy_says(gnocchi, admin):
    chance = np.random.default_rng(3)
    ids, series = [], []
    for _ in range(5):
        metric = gnocchi.metrics.create(admin, {"archive_policy_name": "fine"})
        seconds = np.sort(chance.choice(7200, 200, replace=False))
        values = chance.normal(size=200)
        gnocchi.measures.post(admin, metric, points(*zip(seconds.tolist(), values.tolist(), strict=True)))
        ids.append(metric.id)
        series.append((seconds, values))
    tree = ["aggregate", "mean", ["metric", *([one, "max"] for one in ids)]]
    question = Question(granularity_ns=60 * 10**9, fill="dropna")
    found = gnocchi.aggregates.fetch(admin, {"operations": tree}, question)["measures"]["aggregated"]
    columns = np.full((5, 120), np.nan)
    for row, (seconds, values) in zip(columns, series, strict=True):
        starts, maxima = aggregate(seconds.astype(np.int64), values, 60, ["max"]).of("max")
        row[starts // 60] = maxima
    expected = np.nanmean(columns[:, ~np.isnan(columns).all(axis=0)], axis=0)
    assert [value for _, _, value in found] == pytest.approx(expected.tolist())


def test_statsd_over_udp(gnocchi, admin, house):
    def flush(resource, policy, values):
        return gnocchi.writes.flush(admin, resource, policy, values)

    listener = Statsd(
        flush, house.clock, resource="statsd", policy="fine", address=("127.0.0.1", 0), every_s=60
    )
    listener.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hits:3|c\nhits:4|c\ntemp:21.5|g\nnonsense", ("127.0.0.1", listener.port))
    deadline = time.monotonic() + 10
    while listener.wrong == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    listener.stop()
    assert listener.failures == 0
    resource = gnocchi.resources.get(admin, "generic", gnocchi.resources.identity(admin, "statsd"))
    assert set(resource.metrics) == {"hits|c", "temp|g"}
    assert read(gnocchi, admin, resource.metrics["hits|c"], "max")[0][1] == 7.0
