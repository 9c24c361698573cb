"""The sentence, for one incident and for the whole cloud, as parts whose nouns are links. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from weatherglass.base import units
from weatherglass.base.ids import EntityId, kind_of, name_of, split_replica
from weatherglass.base.time import SECOND_NS
from weatherglass.health.words import called
from weatherglass.inventory import Incident, Part, State, StateRecord

WORSE = (State.DEAD, State.DYING, State.SICK, State.UNKNOWN, State.HEALTHY)
"""States, the worst first."""


def clock(at_ns: int) -> str:
    """`14:02:11`, UTC."""
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).strftime("%H:%M:%S")


def spoken(parts: Sequence[Part]) -> str:
    """The sentence without its links."""
    return "".join(part if isinstance(part, str) else part[1] for part in parts)


def noun(entity: str, replicas: int = 1) -> Part:
    """A link; a replica that is its service's only one goes by the service's name."""
    if kind_of(entity) == "replica" and replicas <= 1:
        return entity, split_replica(name_of(entity))[0]
    return entity, called(entity)


def listed(parts: Sequence[Part]) -> list[Part]:
    """`a`, `a and b`, `a, b and c`."""
    told: list[Part] = []
    for number, part in enumerate(parts):
        if number:
            told.append(" and " if number == len(parts) - 1 else ", ")
        told.append(part)
    return told


_WENT: Mapping[str, str] = {
    "dead": "died",
    "killed": "was killed",
    "hung": "hung",
    "full": "was full",
    "filling": "was filling up",
    "slow": "answered slowly",
    "failing": "failed",
    "unreachable": "could not be reached",
    "strained": "was short of what it needs",
}
_SINCE = ("slow", "failing", "unreachable", "filling", "strained")


def incident_parts(incident: Incident, detail: str, replicas: int, now_ns: int) -> tuple[Part, ...]:
    """What failed, what it took with it, which tenant felt it, what was done, how it ended.

    `detail` is the cause in brackets (`signal 9`); `replicas` how many its service has.
    """
    closed = incident.closed_ns != 0
    if not incident.cause:
        first = incident.affected[0] if incident.affected else ""
        told: list[Part] = [noun(first, replicas)] if first else ["Something"]
        return (*told, f" is not well since {clock(incident.onset_ns)}; the cause is being looked for.")
    kind = "killed" if incident.kind == "dead" and detail.startswith("signal ") else incident.kind
    joined = "from" if kind in _SINCE and closed else "since" if kind in _SINCE else "at"
    told = [
        noun(incident.cause, replicas),
        f" {_WENT.get(kind, 'failed')} {joined} {clock(incident.onset_ns)}",
    ]
    if detail:
        told.append(f" ({detail})")
    told += _taken(incident, now_ns)
    told.append(".")
    told += _done(incident)
    return tuple(told)


def _taken(incident: Incident, now_ns: int) -> list[Part]:
    own = own_service(incident.cause)
    services = [name for name in incident.affected if kind_of(name) == "service" and name != own]
    told: list[Part] = []
    if services:
        told += ["; it took ", *listed([noun(name) for name in services]), " with it"]
    if incident.tenants:
        told.append(", and " if services else "; ")
        spans = [_span(incident, name, now_ns) for name in incident.tenants]
        many = len(incident.tenants) > 1
        told.append("tenants " if many else "tenant ")
        told += listed([(name, name_of(name)) for name in incident.tenants])
        if all(ended for _, ended in spans):
            told.append(f" felt it for {units.duration(max(length for length, _ in spans))}")
        else:
            told.append(" feel it" if many else " feels it")
    return told


def own_service(entity: str) -> str:
    """The service that a replica is of; the entity itself else."""
    if kind_of(entity) != "replica":
        return entity
    return f"service/{split_replica(name_of(entity))[0]}"


def _span(incident: Incident, entity: EntityId, now_ns: int) -> tuple[float, bool]:
    start, end = incident.spans.get(entity, (incident.onset_ns, 0))
    return ((end or now_ns) - start) / SECOND_NS, end != 0


_DONE = {
    "restart": "Restarted",
    "grow": "Grown",
    "rollback": "Rolled back",
    "move": "Moved",
    "fence": "Fenced",
}
_DOING = {
    "restart": "Restarting",
    "grow": "Growing",
    "rollback": "Rolling back",
    "move": "Moving",
    "fence": "Fencing",
}


def _done(incident: Incident) -> list[Part]:
    told: list[Part] = []
    last = incident.remedies[-1] if incident.remedies else None
    closed = incident.closed_ns != 0
    if last:
        name = str(last["remedy"])
        state, took = last["state"], float(last.get("took_s") or 0)
        if state in ("asked", "approved"):
            text = (
                f"{_DONE.get(name, name)} in {units.duration(took)}" if took else f"{_DOING.get(name, name)}"
            )
            told.append(f" {text if took or not closed else _DONE.get(name, name)}")
        elif state == "proposed":
            waits = "was proposed" if closed else "is proposed and waits for a yes"
            told.append(f" {name.capitalize()} {waits}")
        elif state in ("refused", "exhausted"):
            told.append(" Nothing the house may do by itself is left" if not closed else "")
    if closed:
        healed = units.duration((incident.healed_ns - incident.onset_ns) / SECOND_NS)
        told.append(f"{'; healthy' if told and told[-1] else ' Healthy'} again after {healed}.")
    elif told and told[-1]:
        told.append(".")
    return [part for part in told if part]


def overview_parts(
    incidents: Sequence[Incident],
    states: Mapping[EntityId, StateRecord],
    threats: Sequence[Part],
    blind: Sequence[str],
) -> tuple[Part, ...]:
    """The one line at the top: the worst first, then how many more, then whether the house itself sees."""
    told: list[Part] = []
    if incidents:
        worst = min(incidents, key=lambda one: (_badness(one, states), one.id))
        told += [f"{_word(worst, states).capitalize()}: ", *worst.parts]
        if len(incidents) > 1:
            more = len(incidents) - 1
            told.append(f" {more} more incident{'s are' if more > 1 else ' is'} open.")
    else:
        told += _calm(states)
    for threat in threats[:1]:
        told += [" Threat: ", threat]
    if blind:
        told.append(f" The house is partly blind: {blind[0]}.")
    return tuple(told)


def _word(incident: Incident, states: Mapping[EntityId, StateRecord]) -> str:
    named = (EntityId(incident.cause), *incident.affected)
    held = [states[name].state for name in named if name in states]
    return next((state.value for state in WORSE[:3] if state in held), State.SICK.value)


def _badness(incident: Incident, states: Mapping[EntityId, StateRecord]) -> int:
    return [state.value for state in WORSE].index(_word(incident, states))


def _calm(states: Mapping[EntityId, StateRecord]) -> list[Part]:
    services = [one for one in states.values() if kind_of(one.entity) == "service"]
    unwell = [one for one in states.values() if one.state in WORSE[:3]]
    unknown = [one for one in services if one.state is State.UNKNOWN]
    if unwell:
        worst = min(unwell, key=lambda one: WORSE.index(one.state))
        return [
            f"{worst.state.value.capitalize()}: ",
            (worst.entity, called(worst.entity)),
            f" since {clock(worst.since_ns)}.",
        ]
    if not services:
        return ["Nothing is declared yet."]
    if unknown:
        head: list[Part] = [
            f"Unknown: {len(unknown)} of {len(services)} services; nothing fresh is known of "
        ]
        return [*head, *listed([noun(one.entity) for one in unknown[:3]]), "."]
    told: list[Part] = [f"Healthy: {'all ' if len(services) > 1 else ''}{_many(len(services), 'service')}"]
    hosts = sum(kind_of(name) == "host" for name in states)
    tenants = sum(kind_of(name) == "tenant" for name in states)
    told.append(f" on {_many(hosts, 'host')}")
    return [*told, f", for {_many(tenants, 'tenant')}." if tenants else "."]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
