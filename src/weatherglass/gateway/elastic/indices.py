"""Indices over a store that has none: names, fields, aliases, templates; which documents each one means.

An index is a row of `logs.registered` and a value of the documents' `_index`. Events of the house are in no index;
they are shown under `weatherglass-SERVICE` (`weatherglass-logs` for those of no service). An index that is deleted
leaves its documents to retention: one of the same name that comes after has another name in the store.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weatherglass.base.time import MS_NS, Clock
from weatherglass.gateway.elastic import dates, fields, names
from weatherglass.gateway.elastic.faults import Fault, argument, closed, exists, no_index
from weatherglass.gateway.elastic.fields import HOUSE, Field
from weatherglass.gateway.elastic.names import Lenience
from weatherglass.gateway.elastic.room import Store
from weatherglass.logs import aggs
from weatherglass.logs import filter as ask
from weatherglass.logs.filter import Filter
from weatherglass.logs.registered import Body, Registered

INDEX, TEMPLATE, COMPONENT, LEGACY, STREAM = "index", "template", "component", "legacy_template", "stream"
OURS = "weatherglass-"
REST = "weatherglass-logs"
_MOST = 10_000
_AGAIN = re.compile(r"~\d+$")
_DATED = re.compile(r"-\d+$")


def shown(stored: str) -> str:
    """The name of an index as clients know it."""
    return _AGAIN.sub("", stored)


def of_service(service: str) -> str:
    return OURS + re.sub(r"[^a-z0-9_.-]", "-", service.lower()) if service else REST


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an expression came to: the indices, the filter of their documents, their fields."""

    names: tuple[str, ...]
    holds: Filter
    fields: dict[str, Field]


class Indices:
    """One tenant's at a time; any thread."""

    def __init__(self, registered: Registered, store: Store, clock: Clock) -> None:
        self._kept, self._store, self._clock = registered, store, clock

    @property
    def now_ms(self) -> int:
        return self._clock.now_ns() // MS_NS

    # --- what there is -----------------------------------------------------------------------------------

    def rows(self, tenant: str) -> dict[str, Body]:
        """The registered indices that are not deleted."""
        return {name: row for name, row in self._kept.all(tenant, INDEX).items() if not row.get("deleted")}

    def row(self, tenant: str, name: str) -> Body:
        """An index's row; that of one of the house's own is made up. Raises Fault (404)."""
        found = self._kept.get(tenant, INDEX, name)
        if found is not None and not found.get("deleted"):
            return found
        if name.startswith(OURS):
            return {"uuid": name[len(OURS) :], "created": 0, "mappings": HOUSE, "settings": {}, "aliases": {}}
        raise no_index(name)

    def known(self, tenant: str) -> set[str]:
        return {*self.rows(tenant), *self.services(tenant)}

    def services(self, tenant: str) -> dict[str, str]:
        """Index of the house → the service whose events it has ("" for the rest)."""
        return {of_service(service): service for service in self._store.services(tenant)}

    def counts(self, tenant: str) -> dict[str, tuple[int, int]]:
        """Index → (documents, bytes of them on disk, by their share of all)."""
        counted = self._store.aggregate(
            tenant, ask.Exists("_index"), {"by": aggs.Terms("_index", size=_MOST)}
        )["by"].buckets
        by_stored = {str(bucket.key): bucket.count for bucket in counted}
        found = {
            name: by_stored.get(str(row.get("stored", name)), 0) for name, row in self.rows(tenant).items()
        }
        services = self._store.counts(tenant)
        found.update((of_service(service), count) for service, count in services.items())
        each = self._store.bytes_each()
        return {name: (count, int(count * each)) for name, count in found.items()}

    def aliases(self, tenant: str) -> dict[str, list[str]]:
        """Alias or data stream → its indices, in the order of their making."""
        found: dict[str, list[str]] = {}
        for name, row in sorted(self.rows(tenant).items()):
            for alias in row.get("aliases") or {}:
                found.setdefault(alias, []).append(name)
        for stream, row in self._kept.all(tenant, STREAM).items():
            found[stream] = list(row["indices"])
        return found

    def resolve(self, tenant: str, expression: str, lenience: Lenience) -> list[str]:
        """Raises Fault (404)."""
        plain = set(expression.split(",")) if expression and "*" not in expression else set()
        rows = self.rows(tenant)
        # The services are asked for only where they may be meant: that is a question to the whole store.
        known = set(rows) if plain and all(one in rows for one in plain) else self.known(tenant)
        if any(one.startswith(OURS) and one not in known for one in plain):
            known |= {of_service(service) for service in self._store.services(tenant, fresh=True)}
            known |= plain & {REST}
        return names.resolve(expression, known, self.aliases(tenant), lenience, self.now_ms)

    def choose(self, tenant: str, expression: str, lenience: Lenience) -> Chosen:
        """What a search goes to. Raises Fault (404, or closed)."""
        found = self.resolve(tenant, expression, lenience)
        rows = {name: self.row(tenant, name) for name in found}
        for name, row in rows.items():
            if row.get("closed") and not lenience.unavailable and name in expression:
                raise closed(name)
        found = [name for name in found if not rows[name].get("closed")]
        return Chosen(
            tuple(found),
            self.filter(tenant, found, rows),
            fields.merged(rows[name].get("mappings") or {} for name in found),
        )

    def filter(self, tenant: str, found: Sequence[str], rows: Mapping[str, Body]) -> Filter:
        """The documents of these indices."""
        stored = [rows[name].get("stored", name) for name in found if name in self.rows(tenant)]
        parts: list[Filter] = [ask.Terms("_index", tuple(stored))] if stored else []
        by_index = self.services(tenant)
        services = [by_index.get(name, "") for name in found if name.startswith(OURS) and name not in stored]
        if services:
            of: list[Filter] = []
            if any(services):
                of.append(ask.Terms("service", tuple(one for one in services if one)))
            if "" in services:
                of.append(ask.Not(ask.Exists("service")))
            unnamed = ask.Not(ask.Exists("_index"))
            everyone = set(services) >= set(by_index.values())
            parts.append(
                unnamed if everyone else ask.both(unnamed, of[0] if len(of) == 1 else ask.Or(tuple(of)))
            )
        if not parts:
            return ask.Nothing()
        return parts[0] if len(parts) == 1 else ask.Or(tuple(parts))

    # --- changes -----------------------------------------------------------------------------------------

    def create(self, tenant: str, name: str, body: Mapping[str, Any], *, hidden: bool = False) -> Body:
        """A new index, with what its templates say under what is given. Raises Fault."""
        names.check(name)
        if name in self.aliases(tenant):
            raise Fault(
                "invalid_index_name_exception", f"Invalid index name [{name}], already exists as alias"
            )
        if name.startswith(OURS):
            raise argument(f"[{name}]: indices that begin with {OURS} are the house's own")
        template = self.template_for(tenant, name)
        given = {
            "settings": body.get("settings") or {},
            "mappings": body.get("mappings") or {},
            "aliases": body.get("aliases") or {},
        }
        fields.check(given["mappings"])
        row = {
            "uuid": secrets.token_urlsafe(16),
            "created": self.now_ms,
            "mappings": fields.joined(template.get("mappings") or {}, given["mappings"]),
            "settings": {**(template.get("settings") or {}), **given["settings"]},
            "aliases": {**(template.get("aliases") or {}), **given["aliases"]},
            **({"hidden": True} if hidden else {}),
        }

        def made(before: Body | None) -> Body:
            if before is not None and not before.get("deleted"):
                raise exists(name, str(before["uuid"]))
            times = int(before["times"]) + 1 if before is not None else 0
            return {**row, "times": times, "stored": f"{name}~{times}" if times else name}

        return self._kept.change(tenant, INDEX, name, made)

    def change(self, tenant: str, name: str, **what: Any) -> Body:
        """Lay these over an index's row. Raises Fault (404)."""

        def made(before: Body | None) -> Body:
            if before is None or before.get("deleted"):
                raise no_index(name)
            return {**before, **what}

        return self._kept.change(tenant, INDEX, name, made)

    def delete(self, tenant: str, name: str) -> None:
        """Raises Fault (404, or of the house's own)."""
        if name.startswith(OURS):
            raise argument(f"[{name}] has the house's own events; retention takes them")

        def gone(before: Body | None) -> Body:
            if before is None or before.get("deleted"):
                raise no_index(name)
            return {"deleted": True, "times": before.get("times", 0)}

        self._kept.change(tenant, INDEX, name, gone)

    def target(self, tenant: str, name: str, *, creating: bool, must_alias: bool = False) -> tuple[str, Body]:
        """(index, row) that a document for `name` goes to; made where it is not there. Raises Fault."""
        row = self._kept.get(tenant, INDEX, name)
        if row is not None and not row.get("deleted") and not must_alias:
            if row.get("closed"):
                raise closed(name)
            return name, row
        stream = self._kept.get(tenant, STREAM, name)
        if stream is not None:
            last = stream["indices"][-1]
            return last, self.row(tenant, last)
        of = self.aliases(tenant).get(name)
        if of:
            writes = [
                one for one in of if (self.row(tenant, one)["aliases"][name] or {}).get("is_write_index")
            ]
            if not writes and len(of) > 1:
                raise argument(
                    f"no write index is defined for alias [{name}]. The write index may be explicitly disabled using "
                    "is_write_index=false or the alias points to multiple indices without one being designated as a write index"
                )
            chosen = writes[0] if writes else of[0]
            return chosen, self.row(tenant, chosen)
        if must_alias or not creating:
            raise no_index(name)
        if self.template_for(tenant, name).get("data_stream") is not None:
            names.check(name)
            self.create_stream(tenant, name)
            return self.target(tenant, name, creating=False)
        try:
            return name, self.create(tenant, name, {})
        except Fault as fault:
            if fault.kind != "resource_already_exists_exception":
                raise
            return name, self.row(tenant, name)  # another writer made it meanwhile

    def learn(self, tenant: str, name: str, documents: Iterable[Mapping[str, Any]]) -> None:
        """The index has the fields of these documents from now on; durable on return."""
        row = self._kept.get(tenant, INDEX, name)
        if row is None:
            return
        seen = row.get("mappings") or {}
        documents = list(documents)
        for document in documents:
            seen = fields.derive(seen, document)
        if seen is row.get("mappings"):
            return

        def laid(before: Body | None) -> Body:
            if before is None or before.get("deleted"):
                raise no_index(name)
            return {**before, "mappings": fields.joined(seen, before.get("mappings") or {})}

        self._kept.change(tenant, INDEX, name, laid)

    # --- templates and streams ---------------------------------------------------------------------------

    def template_for(self, tenant: str, name: str) -> dict[str, Any]:
        """What the index template of highest priority (or else the legacy ones in order) says of a new index."""
        fitting = [
            one
            for one in self._kept.all(tenant, TEMPLATE).values()
            if any(names.pattern(glob).match(name) for glob in one["index_patterns"])
        ]
        made: dict[str, Any] = {"mappings": {}, "settings": {}, "aliases": {}}
        if fitting:
            best = max(fitting, key=lambda one: int(one.get("priority") or 0))
            components = self._kept.all(tenant, COMPONENT)
            layers = [
                components[part]["template"] for part in best.get("composed_of") or () if part in components
            ]
            for layer in (*layers, best.get("template") or {}):
                made = _laid(made, layer)
            if "data_stream" in best:
                made["data_stream"] = best["data_stream"]
            return made
        for one in sorted(
            self._kept.all(tenant, LEGACY).values(), key=lambda one: int(one.get("order") or 0)
        ):
            if any(names.pattern(glob).match(name) for glob in one["index_patterns"]):
                made = _laid(made, one)
        return made

    def create_stream(self, tenant: str, name: str) -> None:
        """Raises Fault where no template makes streams of that name, or it is there."""
        if self.template_for(tenant, name).get("data_stream") is None:
            raise argument(f"no matching index template found for data stream [{name}]")
        there = self._kept.get(tenant, STREAM, name)
        if there is not None:
            raise Fault("resource_already_exists_exception", f"data_stream [{name}] already exists")
        first = self._behind(tenant, name, 1)
        self._kept.put(tenant, STREAM, name, {"indices": [first], "generation": 1})

    def _behind(self, tenant: str, stream: str, generation: int) -> str:
        name = f".ds-{stream}-{dates.write(self.now_ms, 'yyyy.MM.dd')}-{generation:06d}"
        template = self.template_for(tenant, stream)
        stamped = {"properties": {"@timestamp": {"type": "date"}}}
        self.create(
            tenant, name, {**template, "mappings": fields.joined(stamped, template["mappings"])}, hidden=True
        )
        return name

    def roll_over(self, tenant: str, target: str) -> tuple[str, str]:
        """(old, new) index of a data stream or an alias. Raises Fault."""
        stream = self._kept.get(tenant, STREAM, target)
        if stream is not None:
            generation = int(stream["generation"]) + 1
            new = self._behind(tenant, target, generation)
            old = stream["indices"][-1]
            self._kept.put(
                tenant, STREAM, target, {"indices": [*stream["indices"], new], "generation": generation}
            )
            return old, new
        old, row = self.target(tenant, target, creating=False, must_alias=True)
        found = _DATED.search(old)
        if found is None:
            raise argument(f"index name [{old}] does not match pattern '^.*-\\d+$'")
        new = f"{old[: found.start()]}-{int(found[0][1:]) + 1:06d}"
        how = dict(row["aliases"][target] or {})
        explicit = "is_write_index" in how
        self.create(tenant, new, {"aliases": {target: {**how, "is_write_index": True} if explicit else how}})
        kept = {**row["aliases"], target: {**how, "is_write_index": False}}
        if not explicit:
            del kept[target]
        self.change(tenant, old, aliases=kept)
        return old, new


def _laid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **below,
        "mappings": fields.joined(below.get("mappings") or {}, above.get("mappings") or {}),
        "settings": {**(below.get("settings") or {}), **(above.get("settings") or {})},
        "aliases": {**(below.get("aliases") or {}), **(above.get("aliases") or {})},
    }
