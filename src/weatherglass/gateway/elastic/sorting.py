"""How hits are ordered, as `sort` says: read, and the values that each hit is told with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from weatherglass.base.time import MS_NS
from weatherglass.gateway.elastic import dates
from weatherglass.gateway.elastic.faults import Fault, argument, parsing, search_phase
from weatherglass.gateway.elastic.fields import DATES, TEXTS
from weatherglass.gateway.elastic.leaves import Scope, place
from weatherglass.logs import filter as ask
from weatherglass.logs.fields import TIMES
from weatherglass.logs.filter import Filter

_OPTIONS = frozenset(
    ("order", "missing", "unmapped_type", "mode", "format", "numeric_type", "nested", "ignore_unmapped",
     "nested_path", "nested_filter")
)  # fmt: skip


class Key(NamedTuple):
    """One key of an order: the store's field, its direction, and how its values are told."""

    name: str
    store: str
    descending: bool
    kind: str = "keyword"
    format: str = ""
    missing: Any = "_last"

    @property
    def of_time(self) -> bool:
        return self.kind in DATES


SCORE = Key("_score", "_score", True, "score")


def read_sort(given: Any, scope: Scope) -> tuple[Key, ...]:
    """The keys of a `sort`: a name, an object, a list of them. Raises Fault."""
    if given is None:
        return ()
    found = []
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str):
            name, _, order = one.partition(":")
            found.append(_key(name, {"order": order} if order else {}, scope))
        elif isinstance(one, Mapping):
            for name, how in one.items():
                if isinstance(how, str):
                    how = {"order": how}
                if not isinstance(how, Mapping):
                    raise parsing(f"[{name[:80]}] malformed sort format")
                found.append(_key(name, how, scope))
        else:
            raise argument(
                "malformed sort format, within the sort array, an object, or an actual string are allowed"
            )
    return tuple(found)


def _key(name: str, how: Mapping[str, Any], scope: Scope) -> Key:
    for option in how:
        if option not in _OPTIONS:
            raise Fault("x_content_parse_exception", f"[1:1] [field_sort] unknown field [{option[:80]}]")
    order = str(how.get("order", "desc" if name == "_score" else "asc")).lower()
    if order not in ("asc", "desc"):
        raise Fault(
            "illegal_argument_exception",
            f"No enum constant org.elasticsearch.search.sort.SortOrder.{order.upper()[:20]}",
        )
    descending = order == "desc"
    if name == "_score":
        return Key("_score", "_score", descending, "score")
    if name in ("_doc", "_shard_doc"):
        return Key(name, "_doc", descending, "doc")
    if name in ("_id", "_index"):
        return Key(name, name, descending)
    field = scope.fields.get(name)
    if (
        field is None
        and name != "@timestamp"
        and "unmapped_type" not in how
        and not how.get("ignore_unmapped")
    ):
        raise search_phase(
            Fault("query_shard_exception", f"No mapping found for [{name[:80]}] in order to sort on"), "_all"
        )
    if field is not None and field.type in TEXTS:
        raise search_phase(
            argument(
                f"Fielddata is disabled on [{name}] in [_all]. Text fields are not optimised for operations that "
                "require per-document field data like aggregations and sorting, so these operations are disabled "
                "by default. Please use a keyword field instead."
            ),
            "_all",
        )
    at = scope.field(name)
    store = at.store if at.type in DATES else place(at)
    return Key(
        name,
        "@timestamp" if store == "@timestamp" else store,
        descending,
        at.type,
        str(how.get("format") or ""),
        how.get("missing", "_last"),
    )


def tell(key: Key, value: Any) -> Any:
    """A sort value as a hit has it: dates in ms, or as their format says."""
    if value is None:
        return None
    if key.of_time:
        ms = _ms(value, key.store in TIMES)
        return dates.write(ms, key.format) if key.format and key.format != "epoch_millis" else ms
    if isinstance(value, bool):
        return int(value)
    return value


def _ms(value: Any, exact: bool) -> int:
    """Milliseconds of a date as the store sorted it: ns of an event's own time, else the source's own value."""
    if exact and isinstance(value, int):
        return value // MS_NS
    try:
        return dates.read(value)
    except Fault:
        return 0


def after_of(given: Any, keys: tuple[Key, ...]) -> tuple[Any, ...] | None:
    """`search_after` as the store compares it. Raises Fault."""
    if given is None:
        return None
    if not isinstance(given, list) or not given:
        raise argument("Values must contains at least one value.")
    if not keys:
        raise argument("Sort must contain at least one field.")
    if len(given) != len(keys):
        raise argument(f"search_after has {len(given)} value(s) but sort has {len(keys)}.")
    return tuple(_after(key, value) for key, value in zip(keys, given, strict=True))


def _after(key: Key, value: Any) -> Any:
    if value is None:
        return None
    if key.of_time:
        ms = dates.read(value, f"{key.format or dates.DEFAULT}||epoch_millis")
        return ms * MS_NS if key.store in TIMES else ms
    if isinstance(value, (dict, list)):
        raise argument("Can only support arrays of simple values for search_after")
    return value


def by_filter(keys: tuple[Key, ...]) -> bool:
    """Whether `search_after` must be asked as a filter: the store orders dates of documents by their text."""
    return any(key.of_time and key.store not in TIMES for key in keys)


def beyond(keys: tuple[Key, ...], after: tuple[Any, ...]) -> Filter:
    """What comes after these values in the order: greater in a key, the keys before it being equal."""
    found: list[Filter] = []
    equal: list[Filter] = []
    for key, value in zip(keys, after, strict=True):
        if key.store == "_doc":
            break
        there: Filter = ask.Exists(key.store)
        if value is None:
            equal.append(ask.Not(there))
            continue
        scale = MS_NS if key.of_time and key.store not in TIMES else 1
        low = value * scale if scale != 1 else value
        high = (value + 1) * scale if scale != 1 else value
        time = scale != 1
        if key.descending:
            further: Filter = ask.Range(key.store, lt=low, time=time)
        else:
            further = ask.Range(key.store, gte=high, time=time) if time else ask.Range(key.store, gt=high)
        found.append(ask.both(*equal, ask.Or((further, ask.Not(there)))))
        equal.append(
            ask.Range(key.store, gte=low, lt=high, time=True)
            if time
            else ask.Range(key.store, gte=low, lte=high)
        )
    return ask.Or(tuple(found))
