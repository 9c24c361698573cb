"""What was acknowledged is there after a kill -9: documents, and what clients registered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx


def serve(state: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "weatherglass", "logs", "serve", "--state", str(state), "--port", "0", "--no-auth"],
        stdout=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().removeprefix("READY ").strip()


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    process, url = serve(tmp_path / "state")
    try:
        template = {
            "index_patterns": ["kept"],
            "template": {"mappings": {"properties": {"code": {"type": "keyword"}}}},
        }
        assert httpx.put(f"{url}/elastic/_index_template/t", json=template).status_code == 200
        body = "".join(
            f'{{"index":{{}}}}\n{{"n":{n},"code":"c{n}","message":"line {n}"}}\n' for n in range(500)
        )
        headers = {"content-type": "application/x-ndjson"}
        for _ in range(4):
            answer = httpx.post(f"{url}/elastic/kept/_bulk", content=body, headers=headers, timeout=30)
            assert not answer.json()["errors"]
        push = {"streams": [{"stream": {"app": "shop"}, "values": [["1795341600000000000", "a line"]]}]}
        assert httpx.post(f"{url}/loki/api/v1/push", json=push).status_code == 204
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    process, url = serve(tmp_path / "state")
    try:
        assert httpx.get(f"{url}/elastic/kept/_count").json()["count"] == 2000
        found = httpx.post(f"{url}/elastic/kept/_search", json={"query": {"term": {"code": "c77"}}}).json()[
            "hits"
        ]
        assert found["total"]["value"] == 4 and json.dumps(found["hits"][0]["_source"])
        assert httpx.get(f"{url}/elastic/_index_template/t").json()["index_templates"][0]["name"] == "t"
        assert httpx.get(f"{url}/elastic/weatherglass-shop/_count").json()["count"] == 1
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
