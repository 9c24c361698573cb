"""Native histograms drawn at random, asked of us and of Debian's Prometheus: alike in what 2.42 knew of them."""

import json
import random

import cramjam
import numpy as np
import pytest

from peers import program
from promql import peer
from promql.test_wire import SNAPPY, native_request
from weatherglass.base.errors import Invalid
from weatherglass.gateway import prometheus_json as form
from weatherglass.metrics.histogram import Histogram, side
from weatherglass.metrics.matching import accepts
from weatherglass.metrics.promql import evaluate, parse
from weatherglass.metrics.types import Selection

NOW_S = 1_700_000_000
# 2.42 had no arithmetic with numbers, no avg, changes, resets or *_over_time of them, and interpolated otherwise.
QUERIES = (
    "histogram_count({any})", "histogram_sum({any})", "sum({any})", "rate({one}[1m])", "rate({one}[3m])",
    "increase({one}[2m])", "histogram_fraction(-Inf, 0, {one})", "histogram_fraction(0, Inf, {one})", "count({any})",
    "count_over_time({any}[1m])", "{one} + on() {other}", "histogram_count(sum({any}))", "histogram_quantile(1, {one})",
    "histogram_quantile(0, {one})", "sum(rate({one}[1m]) or rate({other}[2m]))",
)  # fmt: skip


def drawn(rng, schema, zero_threshold):
    """A counter of observations, reset now and then, buckets coming into use."""
    positive = dict.fromkeys(rng.sample(range(-6, 12), 5), 0)
    negative = dict.fromkeys(rng.sample(range(-4, 6), 2), 0) if rng.random() < 0.5 else {}
    zero, total, out = 0, 0.0, []
    for k in range(80):
        if rng.random() < 0.03:
            positive, negative, zero, total = dict.fromkeys(positive, 0), dict.fromkeys(negative, 0), 0, 0.0
        if rng.random() < 0.1:
            positive.setdefault(rng.randrange(-6, 12), 0)
        for counts, most in ((positive, 4), (negative, 3)):
            for index in counts:
                counts[index] += rng.randrange(most)
        zero += rng.randrange(2)
        total += rng.randrange(100) / 4
        sides = [side(sorted(one), [one[i] for i in sorted(one)]) for one in (positive, negative)]
        count = sum(positive.values()) + sum(negative.values()) + zero
        out.append(
            (
                (NOW_S + 15 * k) * 1000 + 111,
                Histogram(schema, zero_threshold, zero, float(count), total, *sides),
            )
        )
    return out


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    program("prometheus")
    rng = random.Random(77)
    world = {"h_a": drawn(rng, 0, 0.001), "h_b": drawn(rng, 1, 0.001), "h_c": drawn(rng, 2, 0.25)}
    one = peer.Prometheus(tmp_path_factory.mktemp("peer"), more=("--enable-feature=native-histograms",))
    try:
        one.wait()
        for name, samples in world.items():
            body = bytes(cramjam.snappy.compress_raw(native_request(name, samples)))
            answer = one.http.post("/api/v1/write", content=body, headers=SNAPPY)
            assert answer.status_code == 204, answer.text
        yield one.http, world
    finally:
        one.stop()


def select_over(world):
    def select(matchers, start_ms, end_ms):
        found = Selection([], [], [], [])
        for name, samples in world.items():
            kept = [(t, one) for t, one in samples if start_ms <= t <= end_ms]
            if kept and all(accepts(m)(name if m.name == "__name__" else "") for m in matchers):
                found.labels.append((("__name__", name),))
                found.times.append(np.zeros(0, np.int64))
                found.values.append(np.zeros(0))
                found.histograms.append((np.array([t for t, _ in kept]), [one for _, one in kept]))
        return found

    return select


def numbers(answer):
    """{metric: all numbers of its cell}, or that it was refused."""
    if answer["status"] != "success":
        return "refused"
    out = {}
    for row in answer["data"]["result"]:
        cell = row.get("histogram", row.get("value"))[1]
        if isinstance(cell, dict):
            buckets = [float(one) for bucket in cell.get("buckets", []) for one in bucket]
            cell = [float(cell["count"]), float(cell["sum"]), *buckets]
        out[json.dumps(row["metric"], sort_keys=True)] = np.atleast_1d(np.array(cell, float))
    return out


def test_drawn_histograms_come_to_the_same(rig):
    http, world = rig
    rng, select = random.Random(5), select_over(world)
    for _ in range(200):
        one, other = rng.choice(sorted(world)), rng.choice(sorted(world))
        query = rng.choice(QUERIES).format(
            one=one, other=other, any=rng.choice([one, '{__name__=~"h_.",job=""}'])
        )
        at = (NOW_S + rng.randrange(60, 1200)) * 1000 + 500
        theirs = numbers(http.get("/api/v1/query", params={"query": query, "time": at / 1000}).json())
        try:
            ours = numbers(json.loads(form.result(evaluate(parse(query), select, at, at, 1))))
        except Invalid:
            ours = "refused"
        if isinstance(ours, str) or isinstance(theirs, str):
            assert ours == theirs, query
            continue
        assert ours.keys() == theirs.keys(), query
        for key, cell in ours.items():
            assert cell.shape == theirs[key].shape and np.allclose(
                cell, theirs[key], rtol=1e-9, equal_nan=True
            ), (query, at)
