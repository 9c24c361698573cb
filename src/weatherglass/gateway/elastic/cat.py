"""`_cat`: tables for people, with the same rows as JSON. Columns are tables; sizes are those of one copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from weatherglass.gateway.elastic import cluster, dates
from weatherglass.gateway.elastic.asking import Ask, Reply
from weatherglass.gateway.elastic.faults import argument
from weatherglass.gateway.elastic.indices import LEGACY, TEMPLATE, Indices
from weatherglass.gateway.elastic.names import Lenience, pattern
from weatherglass.gateway.elastic.room import Store
from weatherglass.logs.registered import Registered


class Column(NamedTuple):
    name: str
    shorts: tuple[str, ...] = ()
    shown: bool = True  # where `h` is not said


INDICES = (
    Column("health", ("h",)), Column("status", ("s",)), Column("index", ("i", "idx")), Column("uuid", ("id",)),
    Column("pri", ("p", "shards.primary", "shardsPrimary")), Column("rep", ("r", "shards.replica", "shardsReplica")),
    Column("docs.count", ("dc", "docsCount")), Column("docs.deleted", ("dd", "docsDeleted")),
    Column("creation.date", ("cd",), False), Column("creation.date.string", ("cds",), False),
    Column("store.size", ("ss", "storeSize")), Column("pri.store.size", ("pss",)),
    Column("dataset.size", ("ds",)),
)  # fmt: skip
HEALTH = tuple(
    Column(name)
    for name in ("epoch", "timestamp", "cluster", "status", "node.total", "node.data", "shards", "pri", "relo", "init",
                 "unassign", "unassign.pri", "pending_tasks", "max_task_wait_time", "active_shards_percent")
)  # fmt: skip
NODES = tuple(
    Column(name)
    for name in ("ip", "heap.percent", "ram.percent", "cpu", "load_1m", "load_5m", "load_15m", "node.role", "master", "name")
)  # fmt: skip
ALIASES = tuple(
    Column(name, shorts)
    for name, shorts in (
        ("alias", ("a",)), ("index", ("i", "idx")), ("filter", ("f",)), ("routing.index", ("ri",)),
        ("routing.search", ("rs",)), ("is_write_index", ("w",)),
    )
)  # fmt: skip
TEMPLATES = tuple(
    Column(name, (name[0],)) for name in ("name", "index_patterns", "order", "version", "composed_of")
)
COUNT = (
    Column("epoch", ("t", "time")),
    Column("timestamp", ("ts", "hms")),
    Column("count", ("dc", "docs.count")),
)
SHARDS = tuple(Column(name) for name in ("index", "shard", "prirep", "state", "docs", "store", "ip", "node"))
_SIZES = (("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10), ("b", 1))


def size(count: int, unit: str = "") -> str:
    """Bytes as `12.3kb`; in a unit that was asked for a bare number."""
    if unit:
        return str(count // dict(_SIZES).get(unit, 1))
    name, of = next((one for one in _SIZES if count >= one[1]), _SIZES[-1])
    return f"{count}b" if of == 1 else f"{count / of:.1f}".removesuffix(".0") + name


class Cat:
    def __init__(self, indices: Indices, registered: Registered, store: Store) -> None:
        self._indices, self._kept, self._store = indices, registered, store

    def indices(self, ask: Ask) -> Reply:
        lenience = Lenience({"expand_wildcards": "all", **ask.params})
        names = self._indices.resolve(ask.tenant, ask.part("index"), lenience)
        counts = self._indices.counts(ask.tenant)
        unit = ask.params.get("bytes", "")
        rows = []
        for name in names:
            row, count = self._indices.row(ask.tenant, name), counts.get(name, (0, 0))
            created = int(row.get("created") or 0)
            told = size(count[1], unit)
            rows.append(
                {
                    "health": "green",
                    "status": "close" if row.get("closed") else "open",
                    "index": name,
                    "uuid": str(row["uuid"]),
                    "pri": "1",
                    "rep": "0",
                    "docs.count": str(count[0]),
                    "docs.deleted": "0",
                    "creation.date": str(created),
                    "creation.date.string": dates.write(created),
                    "store.size": told,
                    "pri.store.size": told,
                    "dataset.size": told,
                }
            )
        if "health" in ask.params and ask.params["health"] != "green":
            rows = []
        return table(ask, INDICES, rows)

    def shards(self, ask: Ask) -> Reply:
        names = self._indices.resolve(ask.tenant, ask.part("index"), Lenience({"expand_wildcards": "all"}))
        counts = self._indices.counts(ask.tenant)
        rows = [
            {"index": name, "shard": "0", "prirep": "p", "state": "STARTED", "docs": str(counts.get(name, (0, 0))[0]),
             "store": size(counts.get(name, (0, 0))[1], ask.params.get("bytes", "")), "ip": "127.0.0.1", "node": cluster.NAME}
            for name in names
        ]  # fmt: skip
        return table(ask, SHARDS, rows)

    def health(self, ask: Ask) -> Reply:
        shards = str(len(self._indices.rows(ask.tenant)))
        row = {
            **self._now(), "cluster": cluster.NAME, "status": "green", "node.total": "1", "node.data": "1",
            "shards": shards, "pri": shards, "relo": "0", "init": "0", "unassign": "0", "unassign.pri": "0",
            "pending_tasks": "0", "max_task_wait_time": "-", "active_shards_percent": "100.0%",
        }  # fmt: skip
        return table(ask, HEALTH, [row])

    def nodes(self, ask: Ask) -> Reply:
        row = {
            "ip": "127.0.0.1", "heap.percent": "0", "ram.percent": "0", "cpu": "0", "load_1m": "0.00", "load_5m": "0.00",
            "load_15m": "0.00", "node.role": "dim", "master": "*", "name": cluster.NAME,
        }  # fmt: skip
        return table(ask, NODES, [row])

    def aliases(self, ask: Ask) -> Reply:
        globs = [one for one in ask.part("name").split(",") if one]
        rows = [
            {"alias": alias, "index": name, "filter": "*" if (how or {}).get("filter") else "-", "routing.index": "-",
             "routing.search": "-", "is_write_index": str((how or {}).get("is_write_index", "-")).lower()}
            for name, row in self._indices.rows(ask.tenant).items()
            for alias, how in (row.get("aliases") or {}).items()
            if not globs or any(pattern(glob).match(alias) for glob in globs)
        ]  # fmt: skip
        return table(ask, ALIASES, rows)

    def templates(self, ask: Ask) -> Reply:
        glob = ask.part("name") or "*"
        rows = [
            {"name": name, "index_patterns": f"[{', '.join(one['index_patterns'])}]",
             "order": str(one.get("priority", one.get("order", 0)) or 0), "version": str(one.get("version") or ""),
             "composed_of": f"[{', '.join(one.get('composed_of') or ())}]" if kind == TEMPLATE else ""}
            for kind in (TEMPLATE, LEGACY)
            for name, one in self._kept.all(ask.tenant, kind).items()
            if pattern(glob).match(name)
        ]  # fmt: skip
        return table(ask, TEMPLATES, rows)

    def count(self, ask: Ask) -> Reply:
        chosen = self._indices.choose(ask.tenant, ask.part("index"), Lenience(ask.params))
        return table(ask, COUNT, [{**self._now(), "count": str(self._store.count(ask.tenant, chosen.holds))}])

    def _now(self) -> dict[str, str]:
        now = self._indices.now_ms
        return {"epoch": str(now // 1000), "timestamp": dates.write(now, "HH:mm:ss")}

    def index(self, ask: Ask) -> Reply:
        return Reply("=^.^=\n" + "".join(f"/_cat/{name}\n" for name in NAMES))


NAMES = ("aliases", "count", "health", "indices", "nodes", "shards", "templates")


def table(ask: Ask, columns: Sequence[Column], rows: list[dict[str, str]]) -> Reply:
    """Rows as text, or as JSON where `format=json`; `h` chooses columns, `s` sorts, `v` adds a head. Raises Fault."""
    if "help" in ask.params:
        return Reply("".join(f"{one.name} | {','.join(one.shorts)} | \n" for one in columns))
    if ask.params.get("s"):
        for part in reversed(ask.params["s"].split(",")):
            name, _, way = part.partition(":")
            column = _column(columns, name)
            if column is None:
                raise argument(f"Unable to sort by unknown sort key `{name[:40]}`")
            rows = sorted(rows, key=_rank(column.name), reverse=way == "desc")
    wanted = [one for one in columns if one.shown]
    heads: Mapping[str, str] = {}
    if ask.params.get("h"):
        wanted, heads = [], {}
        for name in ask.params["h"].split(","):
            matches = [one for one in columns if pattern(name).match(one.name)] if "*" in name else []
            found = _column(columns, name)
            for one in matches or ([found] if found else []):
                wanted.append(one)
                heads = {**heads, one.name: one.name if "*" in name else name}
    if ask.params.get("format") == "json":
        return Reply([{heads.get(one.name, one.name): row.get(one.name) for one in wanted} for row in rows])
    lines = [[row.get(one.name) or "" for one in wanted] for row in rows]
    if ask.flag("v"):
        lines.insert(0, [heads.get(one.name, one.name) for one in wanted])
    widths = [max((len(line[at]) for line in lines), default=0) for at in range(len(wanted))]
    text = "".join(
        " ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
    return Reply(text)


def _column(columns: Sequence[Column], name: str) -> Column | None:
    return next((one for one in columns if name == one.name or name in one.shorts), None)


def _rank(name: str) -> Callable[[Mapping[str, Any]], tuple[int, float, str]]:
    def rank(row: Mapping[str, Any]) -> tuple[int, float, str]:
        text = str(row.get(name) or "")
        try:
            return 0, float(text), ""
        except ValueError:
            return 1, 0.0, text

    return rank
