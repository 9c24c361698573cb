"""The data that the benchmarks of metrics send: node-exporter-like series of a few hosts, and requests made of them.

Counters, gauges, constants, and a few floats of full entropy; 97 series a host, 15 s apart, each host's scrapes at
times of its own, off the step grid, where Prometheus 2 and 3 agree about ranges.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

STEP_MS = 15_000


def host_series(rng: Any, points: int) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """(name, labels, values) of one host: counters, gauges, constants, and a few floats of full entropy."""
    t = np.arange(points)
    load = np.clip(
        0.4 + 0.3 * np.sin(2 * np.pi * t / 5760) + np.cumsum(rng.normal(0, 0.001, points)), 0.02, 1
    )

    def counter(steps, start=1e9):
        return int(rng.integers(1, int(start))) + np.cumsum(steps)

    def seconds(steps):
        return np.round(rng.uniform(1e3, 1e6) + np.cumsum(np.maximum(steps, 0)), 2)

    def noise(spread):
        return 1 + rng.normal(0, spread, points)

    for cpu in range(4):
        for mode, share in {
            "user": 0.7,
            "system": 0.15,
            "iowait": 0.05,
            "softirq": 0.02,
            "nice": 0.005,
        }.items():
            yield (
                "node_cpu_seconds_total",
                {"cpu": cpu, "mode": mode},
                seconds(15 * load * share * noise(0.15)),
            )
        yield "node_cpu_seconds_total", {"cpu": cpu, "mode": "idle"}, seconds(15 * (1 - load) * noise(0.02))
        rare = np.where(rng.random(points) < 0.01, 0.01, 0)
        for mode in ("irq", "steal"):
            yield "node_cpu_seconds_total", {"cpu": cpu, "mode": mode}, seconds(rare)
    for device in ("eth0", "eth1", "ib0"):
        packets = rng.poisson(2e4 * load + 50)
        octets = packets * rng.integers(200, 1400, points)
        for way, part in (("receive", 1.0), ("transmit", 0.7)):
            yield (
                f"node_network_{way}_packets_total",
                {"device": device},
                counter((packets * part).astype(int)),
            )
            yield (
                f"node_network_{way}_bytes_total",
                {"device": device},
                counter((octets * part).astype(int), 1e12),
            )
    for device in ("nvme0n1", "sda"):
        reads = rng.poisson(300 * load + 2)
        for what, part in (("reads", 1), ("writes", 2)):
            labels = {"device": device}
            yield f"node_disk_{what}_completed_total", labels, counter(reads // part)
            moved = reads // part * rng.integers(1, 32, points) * 4096
            yield f"node_disk_{what}_bytes_total", labels, counter(moved, 1e12)
            busy = np.round(1e4 + np.cumsum(load * rng.random(points) * 3 / part), 3)
            yield f"node_disk_{what}_time_seconds_total", labels, busy
    total = 256 * 2**30
    yield "node_memory_MemTotal_bytes", {}, np.full(points, total)
    free = np.clip(0.5 + np.cumsum(rng.normal(0, 0.0005, points)), 0.02, 0.95) * total
    shares = {"MemFree": 1, "MemAvailable": 1.2, "Cached": 0.3, "Slab": 0.02, "Active": 0.5, "AnonPages": 0.4}
    for name, share in shares.items():
        yield f"node_memory_{name}_bytes", {}, np.floor(free * share * noise(0.001) / 4096) * 4096
    slow = np.floor(free * 0.01 / 4096) * 4096
    yield "node_memory_Buffers_bytes", {}, slow[t // 4 * 4]
    yield "node_memory_SwapFree_bytes", {}, np.zeros(points)
    for mount in ("/", "/scratch", "/home"):
        written = np.cumsum(rng.poisson(3, points) * (rng.random(points) < 0.3)) * 4096
        yield (
            "node_filesystem_avail_bytes",
            {"mountpoint": mount, "fstype": "xfs"},
            9e11 // 4096 * 4096 - written,
        )
        yield "node_filesystem_size_bytes", {"mountpoint": mount, "fstype": "xfs"}, np.full(points, 1.2e12)
    for minutes, window in ((1, 4), (5, 20), (15, 60)):
        smooth = np.convolve(load * 64 * noise(0.2), np.ones(window) / window, mode="same")
        yield f"node_load{minutes}", {}, np.round(smooth, 2)
    for sensor in range(8):
        warmth = 45 + load * 30 + np.repeat(rng.normal(0, 1, points // 4 + 1), 4)[:points]
        yield "node_hwmon_temp_celsius", {"chip": "coretemp_0", "sensor": f"temp{sensor}"}, np.round(warmth)
    for supply in range(4):
        yield "node_power_watts", {"psu": supply}, 200 + load * 300 + rng.normal(0, 5, points)
    yield "node_timex_offset_seconds", {}, np.round(rng.normal(0, 1e-5, points), 9)
    for name, rate in (("context_switches", 3e5), ("intr", 2e5), ("forks", 30)):
        yield f"node_{name}_total", {}, counter(rng.poisson(rate * load))
    yield "node_procs_running", {}, rng.poisson(64 * load)
    yield "node_filefd_allocated", {}, 2000 + rng.integers(0, 40, points) * 32
    yield "node_sockstat_TCP_inuse", {}, 150 + np.round(rng.normal(0, 6, points))
    yield "node_boot_time_seconds", {}, np.full(points, 1.79e9)
    for name in ("up", "node_uname_info", "node_scrape_collector_success"):
        yield name, {}, np.ones(points)


class Site:
    """A day of a few hosts, and its remote-write bodies."""

    def __init__(self, hosts, points, seed=7):
        rng = np.random.default_rng(seed)
        # An hour that lies whole in the past, so that no server finds a sample in its future.
        end = int(time.time()) // 3600 * 3600_000
        self.labels, values, self.times, self.host = [], [], np.empty((hosts, points), np.int64), []
        for number in range(hosts):
            jitter = np.where(rng.random(points) < 0.05, rng.integers(-3, 4, points), 0)
            grid = end - (points - np.arange(points)) * STEP_MS
            self.times[number] = grid + int(rng.integers(10, 14_000)) + jitter
            base = {"instance": f"compute-{number:03d}.research.example.org:9100", "job": "node"}
            base |= {"rack": f"r{number // 4:02d}", "cluster": "hpc-main", "region": f"az{number % 2 + 1}"}
            for name, labels, series in host_series(rng, points):
                self.labels.append({"__name__": name, **base, **{k: str(v) for k, v in labels.items()}})
                values.append(np.asarray(series, np.float64))
                self.host.append(number)
        self.values, self.host = np.array(values), np.array(self.host)

    def bodies(self, first, last, each):
        """Snappy bodies of points first…last, `each` points of every series in a body."""
        import cramjam

        series, template, places = len(self.labels), bytearray(), []
        for labels in self.labels:
            packed = b"".join(field(1, field(1, k) + field(2, v)) for k, v in sorted(labels.items()))
            template += b"\x0a" + varint(len(packed) + 18 * each) + packed
            places.append(len(template))
            template += (b"\x12\x10\x09" + bytes(8) + b"\x10" + bytes(6)) * each
        body = np.frombuffer(bytes(template), np.uint8).copy()
        at = np.array(places)[:, None] + 18 * np.arange(each)[None]
        value_at, time_at = (at + 3)[:, :, None] + np.arange(8), (at + 12)[:, :, None] + np.arange(6)
        for point in range(first, last - each + 1, each):
            cut = np.ascontiguousarray(self.values[:, point : point + each])
            body[value_at] = cut.view(np.uint8).reshape(series, each, 8)
            times = self.times[self.host, point : point + each]
            varints = ((times[:, :, None] >> np.arange(0, 42, 7)) & 127).astype(np.uint8)
            varints[:, :, :5] |= 128
            body[time_at] = varints
            yield bytes(cramjam.snappy.compress_raw(body))


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, payload):
    payload = payload if isinstance(payload, bytes) else payload.encode()
    return bytes([number << 3 | 2]) + varint(len(payload)) + payload
