"""Traces end to end: a real OpenTelemetry SDK sends, the house tells the request in parts."""

from __future__ import annotations

import os
import subprocess

from peers import venv
from weatherglass.logs.parts import by_service, parts_of
from wire.conftest import CLIENTS, Wire


def test_spans_of_the_opentelemetry_sdk(wire: Wire) -> None:
    done = subprocess.run(
        [str(venv("logs") / "python"), str(CLIENTS / "use_opentelemetry.py")],
        env={"PATH": os.environ["PATH"], "URL": wire.url, "TOKEN": wire.token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trace = done.stdout.strip()
    assert len(trace) == 32 and "Failed to export" not in done.stderr
    told = wire.http.get(f"/api/v1/logs/request/{trace}").json()
    parts = told["parts"]
    assert [(one["name"], one["service"], one["depth"]) for one in parts] == [
        ("POST /orders", "shop-api", 0),
        ("reserve", "shop-store", 1),
        ("release", "shop-store", 1),
    ]
    assert [bool(one["errors"]) for one in parts] == [False, True, False]
    outer, *inner = parts
    assert outer["own_ns"] + sum(one["own_ns"] for one in inner) == outer["duration_ns"]
    assert all(outer["offset_ns"] <= one["offset_ns"] for one in inner)
    events = wire.http.get(
        "/api/v1/logs/search", params={"query": f"trace_id:{trace} AND span_name:reserve"}
    ).json()
    [span] = events["events"]
    assert span["fields"]["status"] == "error"
    # A line that names the trace stands in the same request.
    wire.bulk("shop", [{"message": "stock of 7 is out", "trace_id": trace, "level": "error", "service": {"name": "shop-store"}}])  # fmt: skip
    room = wire.house.rooms.logs
    found = room.request("site", trace)
    assert "stock of 7 is out" in [row.event.message for row in found.rows]
    assert by_service(parts_of(found))[0][0] in ("shop-api", "shop-store")
