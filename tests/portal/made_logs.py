"""Made-up lines in a real store of logs: what the fake institute wrote around its fake incident. Nothing is measured.

240 lines over forty minutes; from the onset on keystone's errors with their traceback; one request that goes through
nova, glance and neutron by its global request id; one trace with spans; one template that is new.
"""

from __future__ import annotations

import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from weatherglass.base.time import SECOND_NS, Clock, parse_iso
from weatherglass.engine.protocols import RawEvent
from weatherglass.engine.tables import Tables
from weatherglass.logs import Logs
from weatherglass.logs.catalogue import ROOM
from weatherglass.logs.documents import SPAN_FORM, Document

ONSET_NS = parse_iso("2026-11-22T14:02:09")
REQUEST = "req-5b1e0c4a-7f1d-4a55-9a0e-2d6a8f6f1c10"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
MS = 10**6

TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/keystone/identity/core.py", line 412, in authenticate
    ref = self.driver.authenticate(user_id, password)
  File "/usr/lib/python3/dist-packages/sqlalchemy/engine/base.py", line 1967, in _exec_single_context
    self.dialect.do_execute(cursor, str_statement, effective_parameters, context)
oslo_db.exception.DBConnectionError: (pymysql.err.OperationalError) (2013, 'Lost connection to MySQL server during query')"""

CALM = (
    ("keystone.server.flask", "POST /v3/auth/tokens 201 {ms}"),
    ("glance.api.v2.images", "GET /v2/images 200 {ms}"),
    ("neutron.agent.rpc", "agent cmp-{n} reported in"),
    ("neutron.db.agents_db", "lease renewed for port 7c1e{n:04x}"),
    ("nova.osapi_compute.wsgi.server", "worker {n} took {ms} requests"),
)


class StillClock:
    """A day that stands still, in which seconds pass all the same: what waits for them goes on."""

    def __init__(self, of: Clock) -> None:
        self._of = of

    def now_ns(self) -> int:
        return self._of.now_ns()

    def monotonic(self) -> float:
        return time.monotonic()


class MadeLogs(Logs):
    """A store that lies in a folder of its own, which goes with it."""

    def __init__(self, filled: bool, clock: Clock) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="made-logs-")
        tables = Tables(Path(self.folder.name) / "tables.db")
        tables.migrate(ROOM)
        super().__init__(Path(self.folder.name) / "logs", tables=tables, clock=StillClock(clock))
        if filled:
            now_ns = clock.now_ns()
            self.write_raw("site", lines(now_ns))
            self.write_raw("site", request(now_ns - 90 * SECOND_NS))
            self.write_documents("site", spans(now_ns - 60 * SECOND_NS))


def line(
    ns: int,
    level: str,
    logger: str,
    message: str,
    *,
    host: str = "ctl-1",
    request: str = "",
    asked_by: str = "",
) -> RawEvent:
    """One line as oslo.log writes it, as an agent reads it."""
    service = logger.partition(".")[0].replace("nova", "nova-api")
    when = datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S")
    head = f"{when}.{ns % SECOND_NS // MS:03d} 2114 {level} {logger}"
    context = f"[{asked_by or 'None'} {request} 7a11 90c2 - - default default]" if request else "[-]"
    first, *others = message.split("\n")
    text = "\n".join([f"{head} {context} {first}", *(f"{head} {other}" for other in others)])
    labels = (
        ("host", host),
        ("replica", f"{service}.{host[-1]}@{host}"),
        ("service", service),
        ("site", "aurora"),
        ("source", f"/var/log/{service}/{service}.log"),
    )
    return RawEvent(ns + 4 * MS, labels, text)


def lines(now_ns: int) -> list[RawEvent]:
    noise, made = random.Random(4), []
    for i in range(240):
        ns = now_ns - int(i * 9.7 * SECOND_NS)
        host = noise.choice(["ctl-1", "ctl-2", "ctl-3"])
        request_id = f"req-{i:04x}"
        if ns > ONSET_NS and i % 3 == 0:
            text = f"Could not authenticate the user: lost connection to the store\n{TRACEBACK}"
            made.append(line(ns, "ERROR", "keystone.auth.plugins", text, host=host, request=request_id))
            continue
        logger, text = noise.choice(CALM)
        level = noise.choices(["INFO", "INFO", "INFO", "WARNING", "DEBUG"])[0]
        text = text.format(n=i % 7, ms=f"0.{noise.randrange(20, 90):03d}")
        made.append(line(ns, level, logger, text, host=host, request=request_id))
    return made


def request(ns: int) -> list[RawEvent]:
    """One boot of a server: nova asks glance and neutron, and neutron fails."""
    glance, neutron = "req-91aa0000-0000-4000-8000-000000000001", "req-91aa0000-0000-4000-8000-000000000002"
    nova = {"request": REQUEST}
    by_nova = {"asked_by": REQUEST}
    return [
        line(ns, "INFO", "nova.api.openstack.wsgi", "POST /v2.1/servers accepted", **nova),
        line(ns + 40 * MS, "DEBUG", "nova.image.glance", "asking for image 7c1e-44", **nova),
        line(ns + 55 * MS, "DEBUG", "glance.api.v2.images", "image 7c1e-44 is active", host="ctl-2", request=glance, **by_nova),
        line(ns + 190 * MS, "INFO", "glance.wsgi.server", "GET /v2/images/7c1e-44 200", host="ctl-2", request=glance, **by_nova),
        line(ns + 260 * MS, "DEBUG", "neutron.api.v2.resource", "create port for server 91-b", host="ctl-3", request=neutron, **by_nova),
        line(ns + 1900 * MS, "ERROR", "neutron.plugins.ml2.managers", "port binding failed on host cmp-4", host="ctl-3", request=neutron, **by_nova),
        line(ns + 2100 * MS, "ERROR", "nova.compute.manager", "instance 91-b went to ERROR: no valid binding", **nova),
    ]  # fmt: skip


def spans(ns: int) -> list[Document]:
    """One trace, as an OpenTelemetry SDK sends it."""

    def one(
        id: str, parent: str, service: str, name: str, at_ms: int, ms: int, status: str = "ok"
    ) -> Document:
        fields = {
            "trace_id": TRACE, "span_id": id, "parent_id": parent, "span_name": name, "kind": "server",
            "status": status, "duration_ns": ms * MS, **({"level": "ERROR"} if status == "error" else {}),
        }  # fmt: skip
        labels = (("host", "ctl-1"), ("service", service))
        at = ns + at_ms * MS
        return Document(f'{{"name": "{name}"}}', at, at, labels, fields, form=SPAN_FORM)

    return [
        one("00f067aa0ba902b7", "", "horizon", "POST /project/instances", 0, 900),
        one("00f067aa0ba902b8", "00f067aa0ba902b7", "keystone", "validate token", 20, 120),
        one("00f067aa0ba902b9", "00f067aa0ba902b7", "nova-api", "create server", 160, 700),
        one("00f067aa0ba902ba", "00f067aa0ba902b9", "glance", "get image", 200, 90),
        one("00f067aa0ba902bb", "00f067aa0ba902b9", "neutron", "create port", 320, 480, "error"),
    ]
