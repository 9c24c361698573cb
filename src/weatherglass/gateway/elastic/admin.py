"""Indices, their fields and settings, aliases. Settings are kept and given back; mappings and aliases are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weatherglass.gateway.elastic import fields, names
from weatherglass.gateway.elastic.asking import OK, Ask, Reply, acknowledged
from weatherglass.gateway.elastic.faults import Fault, argument, parsing
from weatherglass.gateway.elastic.indices import STREAM, Indices
from weatherglass.gateway.elastic.names import Lenience
from weatherglass.logs.registered import Body, Registered

_OPEN = {"expand_wildcards": "all"}


def globs_of(text: str) -> list[str]:
    return [one for one in text.split(",") if one] or ["*"]


def fits(name: str, text: str) -> bool:
    return any(glob == "_all" or names.pattern(glob).match(name) for glob in globs_of(text))


class Admin:
    """Of every tenant; any thread."""

    def __init__(self, indices: Indices, registered: Registered) -> None:
        self._indices, self._kept = indices, registered

    def _named(self, ask: Ask, *, wide: bool = True) -> dict[str, Body]:
        """The rows of the indices that a request names."""
        params = {**_OPEN, **ask.params} if wide else ask.params
        found = self._indices.resolve(ask.tenant, ask.part("index"), Lenience(params))
        return {name: self._indices.row(ask.tenant, name) for name in found}

    # --- indices -----------------------------------------------------------------------------------------

    def create(self, ask: Ask) -> Reply:
        name, body = names.with_dates(ask.part("index"), self._indices.now_ms), ask.json()
        unknown = next((key for key in body if key not in ("settings", "mappings", "aliases")), None)
        if unknown is not None:
            raise Fault("parse_exception", f"unknown key [{unknown[:80]}] for create index")
        self._indices.create(ask.tenant, name, body)
        return Reply({**OK, "shards_acknowledged": True, "index": name})

    def delete(self, ask: Ask) -> Reply:
        expression = ask.part("index")
        if expression in ("_all", "*"):
            raise argument("Wildcard expressions or all indices are not allowed")
        aliases = self._indices.aliases(ask.tenant)
        for one in expression.split(","):
            if one in aliases and not Lenience(ask.params).unavailable:
                raise argument(
                    f"The provided expression [{one}] matches an alias, specify the corresponding concrete indices instead."
                )
        for name in self._named(ask):
            if name in self._indices.rows(ask.tenant) or "*" not in expression:
                self._indices.delete(ask.tenant, name)
        return acknowledged()

    def exists(self, ask: Ask) -> Reply:
        try:
            found = self._indices.resolve(ask.tenant, ask.part("index"), Lenience({**_OPEN, **ask.params}))
        except Fault as fault:
            if fault.status != 404:
                raise
            found = []
        return Reply(None, 200 if found else 404)

    def get(self, ask: Ask) -> Reply:
        return Reply(
            {
                name: {
                    "aliases": dict(row.get("aliases") or {}),
                    "mappings": dict(row.get("mappings") or {}),
                    "settings": _settings(name, row),
                    **({"data_stream": name.split("-")[1]} if name.startswith(".ds-") else {}),
                }
                for name, row in self._named(ask).items()
            }
        )

    def refreshed(self, ask: Ask) -> Reply:
        """Refresh, flush, force-merge, cache: everything that is acknowledged is found at once as it is."""
        count = len(self._named(ask))
        return Reply({"_shards": {"total": count, "successful": count, "failed": 0}})

    def open(self, ask: Ask) -> Reply:
        return self._shut(ask, False)

    def close(self, ask: Ask) -> Reply:
        return self._shut(ask, True)

    def _shut(self, ask: Ask, shut: bool) -> Reply:
        done = {}
        for name in self._named(ask):
            self._indices.change(ask.tenant, name, closed=shut)
            done[name] = {"closed": True}
        return Reply({**OK, "shards_acknowledged": True, **({"indices": done} if shut else {})})

    def resolve(self, ask: Ask) -> Reply:
        """`_resolve/index/NAME`."""
        aliases, streams = self._indices.aliases(ask.tenant), self._kept.all(ask.tenant, STREAM)
        found = self._indices.resolve(
            ask.tenant, ask.part("name"), Lenience({**_OPEN, "ignore_unavailable": "true"})
        )
        told = []
        for name in found:
            mine = sorted(alias for alias, of in aliases.items() if name in of and alias not in streams)
            stream = next((one for one, row in streams.items() if name in row["indices"]), None)
            told.append(
                {"name": name, **({"aliases": mine} if mine else {}), "attributes": ["open"],
                 **({"data_stream": stream} if stream else {})}
            )  # fmt: skip
        glob = ask.part("name")
        return Reply(
            {
                "indices": told,
                "aliases": [
                    {"name": alias, "indices": of}
                    for alias, of in sorted(aliases.items())
                    if alias not in streams and fits(alias, glob)
                ],
                "data_streams": [
                    {"name": name, "backing_indices": row["indices"], "timestamp_field": "@timestamp"}
                    for name, row in sorted(streams.items())
                    if fits(name, glob)
                ],
            }
        )

    def rollover(self, ask: Ask) -> Reply:
        old, new = self._indices.roll_over(ask.tenant, ask.part("index"))
        return Reply(
            {**OK, "shards_acknowledged": True, "old_index": old, "new_index": new, "rolled_over": True,
             "dry_run": False, "lazy": False, "conditions": {}}
        )  # fmt: skip

    # --- fields and settings -----------------------------------------------------------------------------

    def mapping(self, ask: Ask) -> Reply:
        return Reply(
            {name: {"mappings": dict(row.get("mappings") or {})} for name, row in self._named(ask).items()}
        )

    def put_mapping(self, ask: Ask) -> Reply:
        body = ask.json()
        fields.check(body)
        for name, row in self._named(ask).items():
            made = fields.joined(row.get("mappings") or {}, body)
            before, after = fields.flat(row.get("mappings") or {}), fields.flat(made)
            for path, field in before.items():
                if after[path].type != field.type and field.type != "object":
                    raise argument(
                        f"mapper [{path}] cannot be changed from type [{field.type}] to [{after[path].type}]"
                    )
            self._indices.change(ask.tenant, name, mappings=made)
        return acknowledged()

    def field_mapping(self, ask: Ask) -> Reply:
        glob, told = ask.part("fields"), {}
        for name, row in self._named(ask).items():
            found = fields.flat(row.get("mappings") or {})
            told[name] = {
                "mappings": {
                    path: {"full_name": path, "mapping": {path.rsplit(".", 1)[-1]: {"type": field.type}}}
                    for path, field in found.items()
                    if field.type != "object" and fits(path, glob)
                }
            }
        return Reply(told)

    def settings(self, ask: Ask) -> Reply:
        return Reply({name: {"settings": _settings(name, row)} for name, row in self._named(ask).items()})

    def put_settings(self, ask: Ask) -> Reply:
        body = ask.json()
        given = _flat_settings(body.get("settings", body))
        for name, row in self._named(ask).items():
            self._indices.change(
                ask.tenant, name, settings={**_flat_settings(row.get("settings") or {}), **given}
            )
        return acknowledged()

    def stats(self, ask: Ask) -> Reply:
        rows, counts = self._named(ask), self._indices.counts(ask.tenant)
        told = {}
        for name, row in rows.items():
            count = counts.get(name, (0, 0))
            told[name] = {"uuid": row["uuid"], "health": "green", "status": "open", **_stats(*count)}
        total = _stats(
            sum(counts.get(name, (0, 0))[0] for name in rows),
            sum(counts.get(name, (0, 0))[1] for name in rows),
        )
        shards = {"total": len(rows), "successful": len(rows), "failed": 0}
        return Reply({"_shards": shards, "_all": total, "indices": told})

    def field_caps(self, ask: Ask) -> Reply:
        body = ask.json()
        given = body.get("fields", ask.params.get("fields"))
        if not given:
            raise Fault("action_request_validation_exception", "Validation Failed: 1: no fields specified;")
        globs = given if isinstance(given, list) else str(given).split(",")
        rows = self._named(ask, wide=False)
        kept = _holding(body)
        by_field: dict[str, dict[str, list[str]]] = {}
        for name, row in rows.items():
            for path, field in fields.flat(row.get("mappings") or {}).items():
                if any(names.pattern(glob).match(path) for glob in globs):
                    by_field.setdefault(path, {}).setdefault(_family(field.type), []).append(name)
            for path in ("_id", "_index", "_source"):
                if any(names.pattern(glob).match(path) for glob in globs):
                    by_field.setdefault(path, {}).setdefault(path, []).append(name)
        told = {
            path: {
                kind: {
                    "type": kind,
                    "metadata_field": path in ("_id", "_index", "_source"),
                    "searchable": kind not in ("object", "nested", "_source"),
                    "aggregatable": kind not in ("object", "nested", "text", "_source", "_id"),
                    **({"indices": of} if len(kinds) > 1 else {}),
                }
                for kind, of in kinds.items()
            }
            for path, kinds in sorted(by_field.items())
            if kept(kinds)
        }
        return Reply({"indices": list(rows), "fields": told})

    # --- aliases -----------------------------------------------------------------------------------------

    def alias(self, ask: Ask) -> Reply:
        """`_alias`, of an index, a name, or both."""
        glob = ask.part("name")
        told: dict[str, Any] = {}
        for name, row in self._named(ask).items():
            mine = {
                one: how for one, how in (row.get("aliases") or {}).items() if not glob or fits(one, glob)
            }
            if mine or not glob:
                told[name] = {"aliases": mine}
        lost = [
            one
            for one in globs_of(glob)
            if "*" not in one and not any(one in it["aliases"] for it in told.values())
        ]
        if glob and lost and glob != "_all":
            body = {"error": f"alias [{','.join(lost)}] missing", "status": 404, **told}
            return Reply(None if ask.method == "HEAD" else body, 404)
        return Reply(told)

    def put_alias(self, ask: Ask) -> Reply:
        self._add_alias(ask, list(self._named(ask)), ask.part("name"), ask.json())
        return acknowledged()

    def drop_alias(self, ask: Ask) -> Reply:
        self._remove_alias(ask, list(self._named(ask)), ask.part("name"), must=True)
        return acknowledged()

    def _add_alias(self, ask: Ask, indices: list[str], alias: str, how: Mapping[str, Any]) -> None:
        names.check(alias)
        if alias in self._indices.rows(ask.tenant):
            raise Fault(
                "invalid_alias_name_exception",
                f"Invalid alias name [{alias}]: an index or data stream exists with the same name as the alias",
            )
        for name in indices:
            aliases = self._indices.row(ask.tenant, name).get("aliases") or {}
            self._indices.change(ask.tenant, name, aliases={**aliases, alias: dict(how)})

    def _remove_alias(self, ask: Ask, indices: list[str], glob: str, *, must: bool) -> None:
        gone = False
        for name in indices:
            aliases = self._indices.row(ask.tenant, name).get("aliases") or {}
            kept = {one: how for one, how in aliases.items() if not fits(one, glob)}
            if len(kept) < len(aliases):
                self._indices.change(ask.tenant, name, aliases=kept)
                gone = True
        if must and not gone:
            raise Fault(
                "aliases_not_found_exception",
                f"aliases [{glob}] missing",
                404,
                more={"resource.type": "aliases", "resource.id": glob},
            )

    def aliases(self, ask: Ask) -> Reply:
        """`POST /_aliases`: every action, or none where one cannot be read."""
        actions = ask.json().get("actions")
        if not isinstance(actions, list) or not actions:
            raise argument("[aliases] no actions specified")
        todo: list[Callable[[], None]] = []
        for one in actions:
            if not isinstance(one, dict) or len(one) != 1 or not isinstance(next(iter(one.values())), dict):
                raise parsing("[aliases] failed to parse field [actions]")
            ((kind, how),) = one.items()
            given = how.get("indices", how.get("index", []))
            wanted = ",".join(given) if isinstance(given, list) else str(given)
            found = self._indices.resolve(ask.tenant, wanted, Lenience(_OPEN)) if wanted else []
            options = {
                name: value
                for name, value in how.items()
                if name not in ("index", "indices", "alias", "aliases", "must_exist")
            }
            listed = how.get("aliases", how.get("alias", []))
            for alias in listed if isinstance(listed, list) else [listed]:
                if kind == "add":
                    todo.append(lambda a=found, b=str(alias), c=options: self._add_alias(ask, a, b, c))  # type: ignore[misc]
                elif kind == "remove":
                    must = bool(how.get("must_exist", True))
                    todo.append(lambda a=found, b=str(alias), c=must: self._remove_alias(ask, a, b, must=c))  # type: ignore[misc]
            if kind == "remove_index":
                todo += [lambda a=name: self._indices.delete(ask.tenant, a) for name in found]  # type: ignore[misc]
            elif kind not in ("add", "remove"):
                raise parsing(f"[alias_action] unknown field [{kind[:80]}]")
        for act in todo:
            act()
        return acknowledged()


# --- forms -----------------------------------------------------------------------------------------------


def _flat_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the `index` around or before them."""
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name == "index" and isinstance(value, Mapping):
            made.update(_flat_settings(value))
        else:
            made[name.removeprefix("index.")] = value
    return made


def _settings(name: str, row: Body) -> dict[str, Any]:
    own = _flat_settings(row.get("settings") or {})
    return {
        "index": {
            "creation_date": str(row.get("created", 0)),
            "number_of_shards": "1",
            "number_of_replicas": "0",
            "uuid": str(row["uuid"]),
            "version": {"created": "9009000"},
            "provided_name": name,
            **{
                key: str(value).lower() if isinstance(value, (bool, int)) else value
                for key, value in own.items()
            },
        }
    }


def _stats(count: int, size: int) -> dict[str, Any]:
    part = {
        "docs": {"count": count, "deleted": 0},
        "store": {"size_in_bytes": size, "total_data_set_size_in_bytes": size},
    }
    part["segments"] = {"count": 1}
    return {"primaries": part, "total": part}


def _family(kind: str) -> str:
    """How field_caps names a type: kinds that are asked alike have one name."""
    return (
        "keyword"
        if kind in ("constant_keyword", "wildcard")
        else "text"
        if kind == "match_only_text"
        else kind
    )


def _holding(body: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Which fields are wanted, by `types` in the body."""
    kinds = body.get("types")
    return (
        (lambda found: any(kind in kinds for kind in found))
        if isinstance(kinds, list) and kinds
        else (lambda _: True)
    )
