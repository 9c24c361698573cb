"""How values are written for people: instants, spans, states, ledger entries. Pure; templates get these as filters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from weatherglass.base import units
from weatherglass.base.ids import kind_of, name_of
from weatherglass.base.time import SECOND_NS, iso

STATES = ("healthy", "sick", "dying", "dead", "unknown")
WEATHER = {"healthy": "clear sky", "sick": "haze", "dying": "storm", "dead": "night", "unknown": "fog"}
GRAVITY = {"dead": 4, "dying": 3, "sick": 2, "unknown": 1, "healthy": 0, "": -1}
"""How loud each state is; sorts tables worst first. What is never judged (a zone, the site) has none."""

UNJUDGED = frozenset({"zone", "site"})

_STATE_WORD = re.compile(r"\b(healthy|sick|dying|dead|unknown)\b")


def _when(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / SECOND_NS, UTC)


def clock(ns: int, now_ns: int = 0) -> str:
    """`14:02`, or `Tue 14:02` and `3 Nov 14:02` when the day is another than now's."""
    if not ns:
        return "–"
    when = _when(ns)
    if not now_ns or _when(now_ns).date() == when.date():
        return when.strftime("%H:%M")
    if abs(now_ns - ns) < 6 * 86400 * SECOND_NS:
        return when.strftime("%a %H:%M")
    return f"{when.day} {when.strftime('%b %H:%M')}"


def seconds_of(ns: int) -> str:
    """`14:02:11`."""
    return _when(ns).strftime("%H:%M:%S") if ns else "–"


def ago(ns: int, now_ns: int) -> str:
    """`8 s`, `12 min`, `3 h`, `12 d`: the largest unit alone."""
    if not ns:
        return "–"
    past = max(0, now_ns - ns) / SECOND_NS
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if past >= length:
            return f"{int(past // length)} {unit}"
    return f"{int(past)} s"


def span(ns: int) -> str:
    """A difference of instants for people."""
    return units.duration(max(0, ns) / SECOND_NS)


_ONE = {
    "processes": "process",
    **{
        f"{one}s": one
        for one in (
            "probe", "window", "heartbeat", "line", "metric", "part", "restart", "failure", "replica", "error"
        )
    },
}  # fmt: skip
"""Units that are counted things, as one of them is called."""


def quantity(value: float | None, unit: str = "") -> str:
    """A measured value with its unit, as short as it stays true: `412 ms`, `0.4 %`, `2.1 GB`, `71`."""
    if value is None or value != value:
        return "–"
    if unit in ("s", "seconds"):
        return units.duration(value)
    if unit in ("B", "bytes"):
        return units.size(value)
    if unit in ("share", "ratio"):
        return f"{value * 100:.1f} %" if abs(value) < 0.0995 else f"{value * 100:.0f} %"
    if abs(value) >= 10000:
        text = units.count(value)
    elif value == int(value):
        text = f"{int(value)}"
    elif abs(value) < 0.01:
        text = f"{value:.2g}"
    else:
        text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{text} {_ONE.get(unit, unit) if text == '1' else unit}".strip()


def state_word(state: Any) -> str:
    """One of the five words, whatever was handed in; what is not known is unknown."""
    word = str(getattr(state, "value", state) or "unknown")
    return word if word in STATES else "unknown"


def weathered(text: str) -> Markup:
    """Text, escaped, with the words of state in their colour."""
    return Markup("").join(
        Markup('<span class="{}">{}</span>').format(piece, piece) if piece in STATES else escape(piece)
        for piece in _STATE_WORD.split(str(text))
    )


def value_of(value: Any) -> str:
    """An attribute as declared, in words: `api 5000`, `restart, move`; empty for what says nothing."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {value_of(inner)}" for key, inner in value.items() if value_of(inner))
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(text for text in map(value_of, value) if text)
    return "" if value is None else str(value)


def pretty(entity: str) -> str:
    """An entity as people say it: `keystone`, `host ctl-1`, `tenant genomics`."""
    kind, name = kind_of(entity), name_of(entity)
    return name if kind in ("service", "replica") else f"{kind} {name}"


Part = str | tuple[str, str]
"""A piece of a sentence: words, or (entity, words) to be a link."""

DEEDS = {
    "deploy.apply": ("Applied", "Began to apply", "generation"),
    "deploy.rollback": ("Went back to", "Began to go back to", "generation"),
    "deploy.plan": ("Planned", "Began to plan", "generation"),
    "deploy.restart": ("Restarted", "Began to restart", "entity"),
    "deploy.grow": ("Grew", "Began to grow", "entity"),
    "deploy.heal": ("Put right", "Began to put right", "entity"),
    "deploy.quarantine": ("Quarantined", "Quarantined", "entity"),
    "deploy.pause": ("Paused the reconciler of", "Paused the reconciler of", "entity"),
    "deploy.resume": ("Resumed the reconciler of", "Resumed the reconciler of", "entity"),
    "deploy.down": ("Took down", "Began to take down", "entity"),
    "remedy.restart": ("Asked to restart", "Asked to restart", "entity"),
    "remedy.proposed": ("Proposed a remedy for", "Proposed a remedy for", "entity"),
    "remedy.approved": ("Approved a remedy for", "Approved a remedy for", "entity"),
    "fault.inject": ("Made a fault on", "Made a fault on", "entity"),
    "incident.open": ("Opened", "Opened", "incident"),
    "incident.close": ("Closed", "Closed", "incident"),
    "token.create": ("Made token", "Made token", "name"),
    "token.revoke": ("Revoked token", "Revoked token", "name"),
}
"""What was done → how it is told when done, when only begun, and what is named after it. Others by their own name."""


def begun(entry: Any) -> bool:
    """Whether an entry tells an intent whose outcome is an entry of its own."""
    return isinstance(entry.after, Mapping) and entry.after.get("state") == "begun"


def deed(entry: Any) -> list[Part]:
    """A ledger entry as a sentence in parts."""
    own = entry.what.replace(".", " ").replace("_", " ").capitalize()
    done, intent, follows = DEEDS.get(entry.what, (own, own, "entity"))
    state = entry.after.get("state", "") if isinstance(entry.after, Mapping) else ""
    parts: list[Part] = [intent if begun(entry) else done]
    if state in ("failed", "interrupted"):
        parts = [intent]
    known = {**_mapping(entry.before), **_mapping(entry.after)}
    if follows == "generation" and entry.generation:
        parts.append(f" generation {entry.generation}")
    elif follows == "name" and known.get("name"):
        parts.append(f" {known['name']}")
    elif follows == "incident" and known.get("incident"):
        parts += [" ", (f"incident/{known['incident']}", f"incident {known['incident']}")]
    elif entry.entity:
        parts += [" ", (entry.entity, pretty(entry.entity))]
    if state in ("failed", "interrupted"):
        parts.append(f", which {'failed' if state == 'failed' else 'was interrupted'}")
    if entry.why:
        parts.append(f": {entry.why}")
    return parts


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def plain(parts: Sequence[Part]) -> str:
    """The words of a sentence in parts."""
    return "".join(part if isinstance(part, str) else part[1] for part in parts)


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 incident`, `3 incidents`, `2 entities`."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


FILTERS = {
    "clock": clock,
    "seconds": seconds_of,
    "ago": ago,
    "span": span,
    "quantity": quantity,
    "state": state_word,
    "weathered": weathered,
    "pretty": pretty,
    "told": value_of,
    "deed": deed,
    "plain": plain,
    "plural": plural,
    "iso": iso,
    "kind": kind_of,
    "name": name_of,
    "size": units.size,
    "count": units.count,
    "duration": units.duration,
}
