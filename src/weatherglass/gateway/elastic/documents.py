"""One document at a time: put, created, read. What may be changed is `writing`'s to say."""

from __future__ import annotations

from typing import Any

from weatherglass.gateway.elastic.asking import Ask, Reply
from weatherglass.gateway.elastic.faults import Fault, argument, no_index, parsing
from weatherglass.gateway.elastic.hits import Sources
from weatherglass.gateway.elastic.indices import Indices
from weatherglass.gateway.elastic.names import Lenience
from weatherglass.gateway.elastic.room import Found, Store
from weatherglass.gateway.elastic.writing import Op, Writing, done, status


class Documents:
    """Of every tenant; any thread."""

    def __init__(self, indices: Indices, writing: Writing, store: Store) -> None:
        self._indices, self._writing, self._store = indices, writing, store

    def _write(self, ask: Ask, action: str) -> Reply:
        if not ask.body.strip() and action != "delete":
            raise Fault("action_request_validation_exception", "Validation Failed: 1: source is missing;")
        op = Op(
            action,
            ask.part("index"),
            ask.part("id"),
            ask.body,
            pipeline=ask.params.get("pipeline", ""),
            must_alias=ask.flag("require_alias"),
        )
        self._writing.write(ask.tenant, [op])
        if op.error is not None:
            raise op.error
        return Reply(done(op), status(op))

    def index(self, ask: Ask) -> Reply:
        return self._write(ask, "create" if ask.params.get("op_type") == "create" else "index")

    def create(self, ask: Ask) -> Reply:
        return self._write(ask, "create")

    def update(self, ask: Ask) -> Reply:
        return self._write(ask, "update")

    def delete(self, ask: Ask) -> Reply:
        return self._write(ask, "delete")

    def _found(self, ask: Ask, index: str, id: str) -> tuple[str, Found | None]:
        found = self._indices.resolve(ask.tenant, index, Lenience({}))
        if not found:
            raise no_index(index)
        if len(found) > 1:
            raise argument(
                f"alias [{index}] has more than one index associated with it, can't execute a single index op"
            )
        stored = str(self._indices.row(ask.tenant, found[0]).get("stored", found[0]))
        return found[0], next(iter(self._store.by_ids(ask.tenant, stored, [id])), None)

    def get(self, ask: Ask) -> Reply:
        index, found = self._found(ask, ask.part("index"), ask.part("id"))
        if found is None:
            return Reply({"_index": index, "_id": ask.part("id"), "found": False}, 404)
        return Reply(self._told(index, found, _sources(ask)))

    def source(self, ask: Ask) -> Reply:
        index, found = self._found(ask, ask.part("index"), ask.part("id"))
        if found is None:
            raise Fault(
                "resource_not_found_exception", f"Document not found [{index}]/[{ask.part('id')}]", 404
            )
        return Reply(_sources(ask).of(found.source()))

    def many(self, ask: Ask) -> Reply:
        """`_mget`."""
        body = ask.json()
        wanted = body.get("docs")
        if wanted is None:
            wanted = [{"_id": id} for id in body.get("ids", [])]
        if not isinstance(wanted, list) or not wanted:
            raise Fault("action_request_validation_exception", "Validation Failed: 1: no documents to get;")
        docs: list[Any] = []
        for one in wanted:
            if not isinstance(one, dict) or "_id" not in one:
                raise parsing("[docs] expected objects with an [_id]")
            index, id = str(one.get("_index", ask.part("index"))), str(one["_id"])
            try:
                index, found = self._found(ask, index, id)
            except Fault as fault:
                docs.append(
                    {"_index": index, "_id": id, "error": {"root_cause": [fault.plain()], **fault.plain()}}
                )
                continue
            if found is None:
                docs.append({"_index": index, "_id": id, "found": False})
            else:
                docs.append(self._told(index, found, Sources(one.get("_source", True))))
        return Reply({"docs": docs})

    def _told(self, index: str, found: Found, sources: Sources) -> dict[str, Any]:
        made = {
            "_index": index,
            "_id": found.id,
            "_version": 1,
            "_seq_no": 0,
            "_primary_term": 1,
            "found": True,
        }
        return {**made, "_source": sources.of(found.source())} if sources.wanted else made


def _sources(ask: Ask) -> Sources:
    includes, excludes = ask.params.get("_source_includes"), ask.params.get("_source_excludes")
    if includes or excludes:
        return Sources({"includes": includes or [], "excludes": excludes or []})
    return Sources(ask.params.get("_source", True))


def analyze(ask: Ask) -> Reply:
    """`_analyze`: the words of a text, by the one analyser there is (and keyword, which is none)."""
    from weatherglass.gateway.elastic.leaves import TOKEN

    body = {**ask.params, **ask.json()} if ask.body else dict(ask.params)
    text = body.get("text")
    if text is None:
        raise Fault("action_request_validation_exception", "Validation Failed: 1: text is missing;")
    analyser = body.get("analyzer", body.get("tokenizer", "standard"))
    if analyser not in ("standard", "simple", "default", "keyword", "whitespace", "lowercase"):
        raise argument(f"failed to find global analyzer [{str(analyser)[:40]}]")
    tokens: list[Any] = []
    for one in text if isinstance(text, list) else [text]:
        if analyser == "keyword":
            tokens.append(
                {
                    "token": one,
                    "start_offset": 0,
                    "end_offset": len(one),
                    "type": "word",
                    "position": len(tokens),
                }
            )
            continue
        for found in TOKEN.finditer(str(one)):
            tokens.append(
                {
                    "token": found[0].lower(),
                    "start_offset": found.start(),
                    "end_offset": found.end(),
                    "type": "<NUM>" if found[0].isdigit() else "<ALPHANUM>",
                    "position": len(tokens),
                }
            )
    return Reply({"tokens": tokens})
