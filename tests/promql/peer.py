"""Debian's Prometheus, started on a free port, fed by remote write and asked over HTTP."""

import socket
import subprocess
import time

import cramjam
import httpx
from kernels.protobuf import request

BINARY = "/usr/bin/prometheus"


def free_address():
    """An address on loopback that nobody uses just now."""
    return f"127.0.0.1:{_free_port()}"


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    """A running server with an empty database in `folder`; `config` is its configuration, as JSON is YAML."""

    def __init__(self, folder, config="{}\n", address="", more=()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prometheus.yml").write_text(config)
        address = address or free_address()
        self.output = (folder / "output").open("wb")
        self.process = subprocess.Popen(
            [
                BINARY,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--web.enable-remote-write-receiver",
                "--storage.tsdb.retention.time=100y",
                "--log.level=warn",
                *more,
            ],
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        self.http = httpx.Client(base_url=f"http://{address}", timeout=30, trust_env=False)

    def wait(self, seconds=20):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, "prometheus ended"
            try:
                if self.http.get("/-/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError("prometheus is not ready in time")

    def stop(self):
        self.http.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()

    def write(self, world, slice_s=600):
        """All of a world, oldest first, for the head takes nothing an hour older than its newest."""
        for body in bodies(world, slice_s):
            answer = self.http.post(
                "/api/v1/write",
                content=body,
                headers={"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"},
            )
            assert answer.status_code == 204, answer.text

    def ask(self, query, start_ms, end_ms, step_ms):
        """Prometheus' answer: the JSON, whether success or error."""
        if end_ms == start_ms:
            path, times = "/api/v1/query", {"time": start_ms / 1000}
        else:
            times = {"start": start_ms / 1000, "end": end_ms / 1000, "step": step_ms / 1000}
            path = "/api/v1/query_range"
        return self.http.post(path, data={"query": query, **times}).json()


def bodies(world, slice_s=600):
    """Remote write requests for a world, one a slice of time."""
    first = min(times[0] for times, _ in world.values())
    last = max(times[-1] for times, _ in world.values())
    for low in range(first, last + 1, slice_s * 1000):
        high = low + slice_s * 1000
        many = []
        for labels, (times, values) in world.items():
            samples = [(t, v) for t, v in zip(times, values, strict=True) if low <= t < high]
            if samples:
                many.append((labels, samples))
        if many:
            yield bytes(cramjam.snappy.compress_raw(request(many)))
