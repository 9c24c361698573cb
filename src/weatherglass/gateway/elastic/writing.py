"""Documents in: `_bulk` and its single-document kin. The store is append-only, and this says so where it matters.

A document without an id is stored as it comes. One with an id is stored unless the id is taken: `create` is then
a conflict; `index` of the very same source changes nothing and says `noop`; anything that would change or remove
what is stored fails for that document alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from weatherglass.base.errors import Invalid, WeatherglassError
from weatherglass.base.time import MS_NS, Clock
from weatherglass.gateway.elastic import fields
from weatherglass.gateway.elastic.asking import Ask
from weatherglass.gateway.elastic.faults import Fault, argument, item_error
from weatherglass.gateway.elastic.indices import INDEX, STREAM, Indices
from weatherglass.gateway.elastic.room import Store
from weatherglass.gateway.errors import status_of
from weatherglass.gateway.limits import JSON_DEPTH, parse_json
from weatherglass.logs.documents import Document
from weatherglass.logs.registered import Registered

MOST_ID = 512
_APPEND_ONLY = "documents are only ever added here; retention removes them"


@dataclass(slots=True)
class Op:
    """One action of a bulk and what became of it. `source` is the document's own bytes."""

    action: str
    index: str
    id: str = ""
    source: bytes = b""
    pipeline: str = ""
    must_alias: bool = False
    parsed: Any = None
    target: str = ""
    stored: str = ""
    result: str = ""
    error: WeatherglassError | None = None


def read_bulk(body: bytes, index: str, params: Mapping[str, str]) -> list[Op]:
    """The actions of a bulk. Blank lines between are passed over. Raises Fault for what cannot be read on from."""
    if not body.strip():
        raise Fault("parse_exception", "request body is required")
    if not body.endswith(b"\n"):
        # Elasticsearch refuses this; senders that forget it (rsyslog's retries, curl -d) lose nothing here.
        body += b"\n"
    lines = [line for line in body.split(b"\n") if line.strip()]
    found: list[Op] = []
    at = 0
    while at < len(lines):
        op = _action(lines[at], at + 1, index, params)
        at += 1
        if op.action != "delete":
            if at >= len(lines):
                raise argument("The bulk request must be terminated by a newline [\\n]")
            op.source = lines[at]
            at += 1
        found.append(op)
    return found


def _json(line: bytes) -> Any:
    """The value of a line of JSON. Raises Invalid. A third of the time of `parse_json`, which knows what is wrong."""
    if line.count(b"{") + line.count(b"[") > JSON_DEPTH:
        return parse_json(line)
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return parse_json(line)  # it may be a number beyond 64 bits


def _action(line: bytes, number: int, index: str, params: Mapping[str, str]) -> Op:
    try:
        head = _json(line)
    except Invalid as error:
        raise Fault("x_content_parse_exception", f"[{number}:1] {error.message}") from None
    if not isinstance(head, dict) or len(head) != 1:
        raise argument(f"Malformed action/metadata line [{number}], expected START_OBJECT or END_OBJECT")
    ((action, how),) = head.items()
    if action not in ("index", "create", "update", "delete"):
        raise argument(
            f"Malformed action/metadata line [{number}], expected field [create], [delete], [index] or [update] but "
            f"found [{action[:80]}]"
        )
    if not isinstance(how, dict):
        raise argument(f"Malformed action/metadata line [{number}], expected START_OBJECT but found a value")
    for name in how:
        if name not in _META:
            raise argument(f"Action/metadata line [{number}] contains an unknown parameter [{name[:80]}]")
    id = how.get("_id")
    return Op(
        action,
        str(how.get("_index") or index),
        "" if id is None else str(id),
        pipeline=str(how.get("pipeline") or params.get("pipeline") or ""),
        must_alias=str(how.get("require_alias", params.get("require_alias", ""))).lower() == "true",
    )


_META = frozenset(
    ("_index", "_id", "_type", "routing", "_routing", "pipeline", "require_alias", "require_data_stream", "version",
     "version_type", "if_seq_no", "if_primary_term", "dynamic_templates", "list_executed_pipelines",
     "retry_on_conflict", "op_type", "_source")
)  # fmt: skip


class Writing:
    """Bulks of every tenant; any thread."""

    def __init__(self, indices: Indices, registered: Registered, store: Store, clock: Clock) -> None:
        self._indices, self._kept, self._store, self._clock = indices, registered, store, clock
        self._naming = threading.Lock()  # two writers of one id: one after the other
        self._last_ns = 0
        self._ids = threading.Lock()

    def _stamp(self) -> int:
        """Nanoseconds that no other bulk has: ids are made of them."""
        with self._ids:
            self._last_ns = max(self._last_ns + 1, self._clock.now_ns())
            return self._last_ns

    def write(self, tenant: str, ops: Sequence[Op]) -> None:
        """Every op gets its `result` or its `error`; what has a result is durable on return. Raises Unavailable …"""
        stamp = self._stamp()
        named = False
        for number, op in enumerate(ops):
            try:
                self._prepare(tenant, op)
                named = named or bool(op.id)
                if not op.id and op.action != "delete":
                    op.id = f"{stamp:x}{number:05x}"
                    op.result = "created"
            except WeatherglassError as error:
                op.error = error
        if named:
            with self._naming:
                self._judge(tenant, ops)
                self._append(tenant, ops, stamp)
        else:
            self._append(tenant, ops, stamp)

    def _prepare(self, tenant: str, op: Op) -> None:
        if not op.index:
            raise Fault("action_request_validation_exception", "Validation Failed: 1: index is missing;")
        if len(op.id.encode("utf-8", "replace")) > MOST_ID:
            raise argument(
                f"id [{op.id[:40]}…] is too long, must be no longer than {MOST_ID} bytes but was: {len(op.id)}"
            )
        if op.action in ("update", "delete") and not op.id:
            raise Fault(
                "action_request_validation_exception", "Validation Failed: 1: an id must be provided;"
            )
        if op.action != "delete":
            op.parsed = _source_of(op)
        creating = op.action in ("index", "create") or (
            op.action == "update" and "upsert" in (op.parsed or {})
        )
        if op.index.startswith(".ds-") and op.action == "create":
            raise argument(
                "index request with op_type=create targeting backing indices is disallowed, target corresponding data stream"
            )
        op.target, row = self._indices.target(tenant, op.index, creating=creating, must_alias=op.must_alias)
        op.stored = str(row.get("stored", op.target))
        if op.target.startswith(".ds-") and self._kept.get(tenant, STREAM, op.index) is not None:
            if op.action == "index" and not op.id:
                raise argument("only write ops with an op_type of create are allowed in data streams")
            if op.action == "create" and "@timestamp" not in (op.parsed or {}):
                raise Fault(
                    "document_parsing_exception",
                    "[1:1] failed to parse: data stream timestamp field [@timestamp] is missing",
                )
            if op.action == "index":
                raise argument("only write ops with an op_type of create are allowed in data streams")
        if op.pipeline and op.pipeline != "_none" and self._kept.get(tenant, "pipeline", op.pipeline) is None:
            raise argument(f"pipeline with id [{op.pipeline[:80]}] does not exist")

    def _judge(self, tenant: str, ops: Sequence[Op]) -> None:
        """What comes of the documents with ids, given those that are stored, and each other."""
        wanted: dict[str, set[str]] = {}
        for op in ops:
            if op.error is None and not op.result:
                wanted.setdefault(op.stored, set()).add(op.id)
        there: dict[tuple[str, str], Any] = {}
        for stored, ids in wanted.items():
            for hit in self._store.by_ids(tenant, stored, sorted(ids)):
                there[stored, hit.id] = hit.source()
        for op in ops:
            if op.error is not None or op.result:
                continue
            before = there.get((op.stored, op.id))
            try:
                op.result = _outcome(op, before)
                if op.result == "created":
                    there[op.stored, op.id] = op.parsed
            except Fault as fault:
                op.error = fault

    def _append(self, tenant: str, ops: Sequence[Op], stamp: int) -> None:
        chosen = [op for op in ops if op.error is None and op.result == "created"]
        by_index: dict[str, list[Op]] = {}
        for op in chosen:
            by_index.setdefault(op.target, []).append(op)
        dated = {}
        for index, some in by_index.items():
            self._indices.learn(tenant, index, (op.parsed for op in some))
            dated[index] = fields.shadowed(self._indices.row(tenant, index).get("mappings") or {})
        documents = [_document(op, stamp, dated[op.target]) for op in chosen]
        if documents:
            self._store.write(tenant, documents)


def _document(op: Op, stamp: int, dated: Sequence[fields.Field]) -> Document:
    more = fields.shadows(dated, op.parsed) if dated else {}
    time = more.pop("@timestamp", None)
    time_ns = int(time) * MS_NS if isinstance(time, int) and 0 < time * MS_NS < 1 << 62 else 0
    return Document(
        op.source.decode("utf-8", "replace"), stamp, time_ns, fields=more, index=op.stored, id=op.id
    )


def _source_of(op: Op) -> Any:
    try:
        value = _json(op.source)
    except Invalid as error:
        raise Fault("document_parsing_exception", f"[1:1] failed to parse: {error.message}") from None
    if not isinstance(value, dict):
        raise Fault("document_parsing_exception", "[1:1] failed to parse: the document is not an object")
    if op.action != "update" and ("" in value or any(name in value for name in ("_id", "_index"))):
        wrong = "" if "" in value else "_id" if "_id" in value else "_index"
        if wrong == "":
            raise Fault("document_parsing_exception", "[1:1] field name cannot be an empty string")
        raise Fault(
            "document_parsing_exception",
            f"[1:1] Field [{wrong}] is a metadata field and cannot be added inside a document. Use the index API request parameters.",
        )
    return value


def _outcome(op: Op, before: Any) -> str:
    """What an op with an id comes to, beside what is stored under it (None: nothing). Raises Fault."""
    if op.action == "create":
        if before is not None:
            raise conflict(op.id, op.target)
        return "created"
    if op.action == "index":
        if before is None:
            return "created"
        if before == op.parsed:
            return "noop"
        raise Fault(
            "version_conflict_engine_exception", f"[{op.id}]: {_APPEND_ONLY}", 409, more={"index": op.target}
        )
    if op.action == "delete":
        if before is None:
            return "not_found"
        raise argument(f"[{op.id}] cannot be deleted: {_APPEND_ONLY}")
    if before is None:
        upsert = op.parsed.get("upsert", op.parsed.get("doc") if op.parsed.get("doc_as_upsert") else None)
        if not isinstance(upsert, dict):
            raise Fault(
                "document_missing_exception", f"[{op.id}]: document missing", 404, more={"index": op.target}
            )
        op.parsed, op.source = upsert, json.dumps(upsert, ensure_ascii=False).encode()
        return "created"
    part = op.parsed.get("doc")
    if isinstance(part, dict) and {**before, **part} == before:
        return "noop"
    raise argument(f"[{op.id}] cannot be updated: {_APPEND_ONLY}")


def conflict(id: str, index: str) -> Fault:
    return Fault(
        "version_conflict_engine_exception",
        f"[{id}]: version conflict, document already exists (current version [1])",
        409,
        more={"index_uuid": "_na_", "shard": "0", "index": index},
    )


_STATUS = {"created": 201, "noop": 200, "not_found": 404}
SHARDS = {"total": 1, "successful": 1, "failed": 0}


def item(op: Op) -> dict[str, Any]:
    """One item of a bulk's answer."""
    if op.error is not None:
        status = op.error.status if isinstance(op.error, Fault) else status_of(op.error)
        return {
            op.action: {
                "_index": op.target or op.index,
                "_id": op.id or None,
                "status": status,
                "error": item_error(op.error, status),
            }
        }
    return {op.action: {**done(op), "status": _STATUS[op.result]}}


def done(op: Op) -> dict[str, Any]:
    """What is told of one document that was taken."""
    return {
        "_index": op.target,
        "_id": op.id,
        "_version": 1,
        "result": op.result,
        "_shards": SHARDS,
        "_seq_no": 0,
        "_primary_term": 1,
    }


def status(op: Op) -> int:
    return _STATUS[op.result]


def bulk(writing: Writing, ask: Ask) -> dict[str, Any]:
    """The answer to a bulk. Raises Fault where it cannot be read, Unavailable where nothing can be stored."""
    ops = read_bulk(ask.body, ask.part("index"), ask.params)
    writing.write(ask.tenant, ops)
    items = [item(op) for op in ops]
    return {"errors": any(op.error is not None for op in ops), "took": 0, "items": items}


__all__ = ["INDEX", "Op", "Writing", "bulk", "done", "read_bulk", "status"]
