"""One part of the house served alone, as outside test suites start it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import httpx
import pytest


@pytest.fixture
def serving(tmp_path):
    """(verb, *options) → (an HTTP client of it, its state)."""
    running = []

    def start(*words):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "weatherglass.cli.main",
                *words,
                "--state",
                str(tmp_path / "state"),
                "--port",
                "0",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        said = process.stdout.readline()
        found = re.fullmatch(r"READY (http://127\.0\.0\.1:\d+)\n", said)
        assert found, said
        return httpx.Client(base_url=found[1], trust_env=False, timeout=10), tmp_path / "state"

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_metrics_answer_anyone_when_told_so(serving):
    http, _ = serving("metrics", "serve", "--bare", "--no-auth")
    assert http.get("/-/ready").status_code == 200
    answer = http.get("/prometheus/api/v1/query", params={"query": "1+1", "time": "0"})
    assert answer.json()["data"] == {"resultType": "scalar", "result": [0, "2"]}
    assert http.get("/api/v1/logs/search").status_code == 503
    assert (
        "weatherglass_metrics_series 0" in http.get("/-/metrics").text
    )  # rooms that are absent are passed over


def test_the_metrics_ask_for_a_token_otherwise(serving):
    http, state = serving("metrics", "serve")
    assert http.get("/prometheus/api/v1/query", params={"query": "1"}).status_code == 401
    bearer = {"Authorization": f"Bearer {(state / 'token').read_text().strip()}"}
    assert http.get("/prometheus/api/v1/query", params={"query": "1"}, headers=bearer).status_code == 200
