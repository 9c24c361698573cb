"""statsd: what a datagram says, and what it comes to as series between two flushes. Pure; sockets are elsewhere.

    name:value|c|g|ms|h|d|s[|@rate][|#tag:value,…]

Several values may stand between colons, tags also behind the name (`name,tag=value`, `name;tag=value`). Gnocchi's
door reads by the same `parse` and takes counters, gauges and timers without tags.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from weatherglass.engine.protocols import Labels
from weatherglass.metrics.formats.taken import Family, Taken
from weatherglass.metrics.scrape.turn import STALE

_LINE = re.compile(
    r"(?P<name>[^:|@\n]{1,255}):(?P<values>[^|\n]{1,4096})\|(?P<kind>ms|[cghds])"
    r"(?:\|@(?P<rate>[0-9.]{1,20}))?(?:\|#(?P<tags>[^|\n]{0,2048}))?(?:\|[cT][^|\n]{0,80})*"
)
_VALUE = re.compile(r"[+-]?[0-9.][0-9.eE+-]{0,40}")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a timer's classic histogram, in seconds (those of Prometheus' clients)."""
_MOST = 100_000  # series that are remembered; more are dropped, and counted
_IDLE_MS = 300_000  # a series that nothing was heard of for so long ends
_SET_MOST = 10_000
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_:]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]+")


class Reading(NamedTuple):
    """One value. `relative` gauges are changed by it; `rate` is the share that was sent; a set's is `text`."""

    name: str
    kind: str  # c, g, ms, h, s
    value: float
    relative: bool = False
    rate: float = 1.0
    tags: Labels = ()
    text: str = ""


def parse(datagram: bytes) -> tuple[list[Reading], int]:
    """(what a datagram says, how many lines could not be read)."""
    found, wrong = [], 0
    for line in datagram.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            continue
        readings = _readings(line.strip())
        found += readings
        wrong += not readings
    return found, wrong


def _readings(line: str) -> list[Reading]:
    form = _LINE.fullmatch(line)
    if form is None:
        return []
    name, tags = _tagged(form["name"], form["tags"] or "")
    kind = "h" if form["kind"] == "d" else form["kind"]
    try:
        rate = float(form["rate"] or 1.0)
    except ValueError:
        return []
    if not name or not 0 < rate <= 1 or (form["rate"] and kind in ("g", "s")):
        return []
    if kind == "s":
        return [Reading(name, kind, 1.0, tags=tags, text=form["values"])]
    found = []
    for text in form["values"].split(":"):
        try:
            value = float(text) if _VALUE.fullmatch(text) else math.nan
        except ValueError:
            return []
        if not math.isfinite(value):
            return []
        found.append(Reading(name, kind, value, kind == "g" and text[0] in "+-", rate, tags))
    return found


def _tagged(name: str, dogs: str) -> tuple[str, Labels]:
    """A name without the tags behind it, and all tags."""
    name, *behind = re.split("[,;]", name)
    tags: dict[str, str] = {}
    for one, sign in [*((pair, "=") for pair in behind), *((pair, ":") for pair in dogs.split(","))]:
        key, _, value = one.partition(sign)
        if key and value:
            tags[key] = value
    return name, tuple(sorted(tags.items()))


@dataclass(slots=True)
class _Told:
    """One metric with its tags, as it stands."""

    labels: Labels
    kind: str
    heard_ms: int
    value: float = 0.0
    count: float = 0.0
    buckets: list[float] = field(default_factory=list)
    members: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Tally:
    """What was said so far: counters and timers grow as long as the process lives, sets are counted anew each flush."""

    told: dict[tuple[str, str, Labels], _Told] = field(default_factory=dict)
    dropped: int = 0

    def add(self, reading: Reading, now_ms: int) -> None:
        key = (reading.name, reading.kind, reading.tags)
        one = self.told.get(key)
        if one is None:
            if len(self.told) >= _MOST:
                self.dropped += 1
                return
            one = self.told[key] = _Told(_labels(reading), reading.kind, now_ms)
            one.buckets = [0.0] * len(BUCKETS) if reading.kind in ("ms", "h") else []
        one.heard_ms = now_ms
        weight = 1 / reading.rate
        if reading.kind == "c":
            one.value += reading.value * weight
        elif reading.kind == "g":
            one.value = one.value + reading.value if reading.relative else reading.value
        elif reading.kind == "s":
            if len(one.members) < _SET_MOST:
                one.members.add(reading.text)
        else:
            seconds = reading.value / 1000 if reading.kind == "ms" else reading.value
            one.value += seconds * weight
            one.count += weight
            for place, bound in enumerate(BUCKETS):
                if seconds <= bound:
                    one.buckets[place] += weight

    def flush(self, now_ms: int) -> Taken:
        """Every series as it stands; those that went quiet end with a stale marker, and are forgotten."""
        taken = Taken()
        for key, one in list(self.told.items()):
            ended = now_ms - one.heard_ms > _IDLE_MS
            name = dict(one.labels)["__name__"]
            for series, value in _samples(one):
                taken.add(series, now_ms, STALE if ended else value)
            taken.families[name] = Family(_FAMILY[one.kind], "From statsd.")
            one.members = set()
            if ended:
                del self.told[key]
        return taken


_FAMILY = {"c": "counter", "g": "gauge", "s": "gauge", "ms": "histogram", "h": "histogram"}


def _labels(reading: Reading) -> Labels:
    name = _NOT_NAME.sub("_", reading.name)
    name = f"_{name}" if name[:1].isdigit() else name
    if reading.kind == "c" and not name.endswith("_total"):
        name += "_total"
    elif reading.kind == "ms" and not name.endswith("_seconds"):
        name += "_seconds"
    labels = {
        f"_{one}" if one[:1].isdigit() else one: value
        for key, value in reading.tags
        if (one := _NOT_LABEL.sub("_", key))
    }
    return tuple(sorted({**labels, "__name__": name}.items()))


def _samples(one: _Told) -> list[tuple[Labels, float]]:
    if one.kind == "s":
        return [(one.labels, float(len(one.members)))]
    if one.kind not in ("ms", "h"):
        return [(one.labels, one.value)]
    bounds = [f"{bound:g}" for bound in BUCKETS]
    found = [(_part(one.labels, "_bucket", le), value) for le, value in zip(bounds, one.buckets, strict=True)]
    found.append((_part(one.labels, "_bucket", "+Inf"), one.count))
    return [*found, (_part(one.labels, "_sum"), one.value), (_part(one.labels, "_count"), one.count)]


def _part(labels: Labels, suffix: str, le: str = "") -> Labels:
    made = dict(labels)
    made["__name__"] += suffix
    return tuple(sorted({**made, "le": le}.items() if le else made.items()))
