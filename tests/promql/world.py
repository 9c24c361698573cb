"""Made-up data for comparing evaluators, and a `select` over it.

Made so that Prometheus 2.42 (closed windows) and 3.x (left-open) must agree, and so that sums are exact:
query times lie on `.5 s`, sub-query steps on whole seconds, samples on neither; values are quarters.
"""

import random
import struct

import numpy as np

from weatherglass.metrics.matching import accepts
from weatherglass.metrics.types import STALE_BITS, Selection

START_S = 1_699_999_200  # a whole hour
SPAN_S = 7200
QUERY_PHASE_MS = 500
STALE = struct.unpack("<d", struct.pack("<q", STALE_BITS))[0]
_OFF_GRID = (111, 222, 333, 444, 555, 666, 777, 888, 999)


def _times(rng, step_s):
    phase = rng.choice(_OFF_GRID)
    times, at = [], START_S + rng.randrange(step_s)
    while at < START_S + SPAN_S:
        if rng.random() < 0.004:
            at += rng.choice((2, 5, 25, 60)) * step_s  # a gap, now and then past the look-back
            continue
        # Most scrapes are on time; some are late by whole tenths that keep off the grid.
        times.append(at * 1000 + (phase if rng.random() < 0.95 else rng.choice(_OFF_GRID)))
        at += step_s
    return times


def _counter(rng, n):
    at, out = rng.randrange(0, 4000), []
    for _ in range(n):
        at = (
            rng.choice((0, 0.25, 1, at / 2))
            if rng.random() < 0.01
            else at + rng.choice((0, 0, 0.25, 1, 5, 9.5))
        )
        at = int(at * 4) / 4
        out.append(at)
    return out


def _gauge(rng, n, *, low=0, high=100_000, odd=0.0):
    at, out = rng.randrange(low * 4, high * 4) / 4, []
    for _ in range(n):
        at = min(max(at + rng.randrange(-400, 401) / 4, low), high)
        out.append(at if rng.random() >= odd else rng.choice((float("nan"), float("inf"), float("-inf"))))
    return out


def _stale(rng, values, share=0.006):
    return [STALE if rng.random() < share else value for value in values]


def make(seed):
    """A dict of label set → (times ms, values)."""
    rng = random.Random(seed)
    world = {}

    def add(name, values, step_s=15, **labels):
        times = _times(rng, step_s)
        key = tuple(sorted({"__name__": name, **labels}.items()))
        world[key] = (times, values(len(times)))

    for job in ("api", "db"):
        for instance in ("a:1", "b:1", "c:2"):
            own = {"job": job, "instance": instance}
            for code in ("200", "500"):
                add("requests_total", lambda n: _counter(rng, n), **own, code=code)
            add("errors_total", lambda n: _stale(rng, _counter(rng, n)), **own)
            add("memory_bytes", lambda n: _gauge(rng, n), **own)
            add("temperature", lambda n: _gauge(rng, n, low=-500, high=500, odd=0.01), 30, **own)
            add("up", lambda n: _stale(rng, [float(rng.random() > 0.1) for _ in range(n)], 0.02), **own)
        buckets = [0.0] * 5
        times = _times(rng, 15)
        rows = []
        for _ in times:
            for k in range(5):
                for higher in range(k, 5):
                    buckets[higher] += (k + 1) % 3 * rng.randrange(3)
            rows.append(list(buckets))
        for k, le in enumerate(("0.1", "0.5", "1", "2.5", "+Inf")):
            key = {"__name__": "latency_bucket", "job": job, "le": le}
            world[tuple(sorted(key.items()))] = (times, [row[k] for row in rows])
    for instance, version in (("a:1", "1.2"), ("b:1", "1.3"), ("c:2", "1.3")):
        add("build_info", lambda n: [1.0] * n, 60, instance=instance, version=version)
    # Decimals of many magnitudes, of instances whose series share their instants, as those of one scrape do.
    for job in ("api", "db"):
        times = _times(rng, 15)
        scale = rng.choice((1e-9, 1e-3, 1, 1e6))
        for instance in ("a:1", "b:1"):
            key = {"__name__": "share_seconds", "job": job, "instance": instance}
            world[tuple(sorted(key.items()))] = (times, [scale * rng.expovariate(1) for _ in times])
    add("lonely", lambda n: _gauge(rng, n, odd=0.02), 120)
    return world


def select_over(world):
    """What the store promises, by the plainest means."""
    rows = [
        (labels, np.array(times, np.int64), np.array(values, np.float64))
        for labels, (times, values) in sorted(world.items())
    ]

    def select(matchers, start_ms, end_ms):
        tests = [(m.name, accepts(m)) for m in matchers]
        labels, times, values = [], [], []
        for own, t, v in rows:
            named = dict(own)
            if all(test(named.get(name, "")) for name, test in tests):
                lo, hi = np.searchsorted(t, start_ms), np.searchsorted(t, end_ms, side="right")
                if hi > lo:
                    labels.append(own)
                    times.append(t[lo:hi])
                    values.append(v[lo:hi])
        return Selection(labels, times, values)

    return select
