"""What may stand at the caret of a query, and the reference that stands beside it; from the parser's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from weatherglass.base.errors import WeatherglassError
from weatherglass.portal.kit import Visit

AT_MOST = 30


class Entry(NamedTuple):
    """One function or aggregator: how it is called, and what it says of itself."""

    name: str
    call: str
    doc: str


def complete(visit: Visit, asked: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(word, kind, help) of what fits: names of metrics and functions, of labels, or values of one label."""
    prefix = asked.get("prefix", "").lower()
    what = asked.get("what", "")
    metric, label = asked.get("metric", ""), asked.get("label", "")
    if what == "labels":
        found = [(one, "label", "") for one in labels(visit, metric) if prefix in one.lower()]
    elif what == "values":
        found = [(one, "value", "") for one in values(visit, label, metric) if prefix in one.lower()]
    else:
        about = metadata(visit)
        found = [(n, "metric", about.get(n, ("", ""))[1]) for n in names(visit) if prefix in n.lower()]
        found += [(one.name, "function", one.doc) for one in reference() if one.name.startswith(prefix)]
    found.sort(key=lambda row: (not row[0].lower().startswith(prefix), row[0]))
    return found[:AT_MOST]


def names(visit: Visit) -> list[str]:
    """Names of the metrics that the lens may see; none where the room cannot be asked."""
    return values(visit, "__name__", "")


def values(visit: Visit, label: str, metric: str) -> list[str]:
    try:
        return sorted(visit.rooms.metrics.label_values(visit.lens.partition, label, *_only(metric)))
    except WeatherglassError:
        return []


def labels(visit: Visit, metric: str) -> list[str]:
    try:
        found = visit.rooms.metrics.label_names(visit.lens.partition, *_only(metric))
    except WeatherglassError:
        return []
    return [one for one in found if one != "__name__"]


def _only(metric: str) -> tuple[Any, ...]:
    if not metric:
        return ()
    from weatherglass.metrics import Matcher

    return ([[Matcher("__name__", "=", metric)]],)


def metadata(visit: Visit) -> dict[str, tuple[str, str]]:
    """Metric → (type, help)."""
    found = {}
    for name, told in visit.rooms.metrics.metadata(visit.lens.partition).items():
        one: Any = told[0] if isinstance(told, list) and told else told
        if isinstance(one, Mapping):
            found[name] = (str(one.get("type", "")), str(one.get("help", "")))
    return found


def reference() -> list[Entry]:
    """Every function and aggregator, by name."""
    from weatherglass.metrics.promql import AGGREGATORS, FUNCTIONS

    found = [Entry(name, _call(name, one), one.doc) for name, one in FUNCTIONS.items()]
    for name, aggregator in AGGREGATORS.items():
        inside = f"{aggregator.parameter}, vector" if aggregator.parameter else "vector"
        found.append(Entry(name, f"{name} by (…) ({inside})", aggregator.doc))
    return sorted(found)


def _call(name: str, function: Any) -> str:
    """`histogram_quantile(scalar, vector)`; what may be left out stands in brackets."""
    words = [str(kind) for kind in function.args]
    needed = len(words) - function.optional
    shown = words[:needed] + [f"[{word}]" for word in words[needed:]] + (["…"] if function.variadic else [])
    return f"{name}({', '.join(shown)})"
