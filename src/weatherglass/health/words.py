"""Evidence in plain sentences, one function a kind of evidence, with its number, its threshold and its PromQL.

The five words of `State` are the only names of states here; everything else is what was seen.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from weatherglass.base import units
from weatherglass.base.ids import EntityId, kind_of, name_of, split_replica
from weatherglass.engine.protocols import Running
from weatherglass.health.world import FULL, Measured, Probed, Probes, Witnessed
from weatherglass.inventory import Evidence


def called(entity: str) -> str:
    """How people call it: `mariadb on ctl-1`, `tenant genomics`, `volume db-data`, `host ctl-1`, `keystone`."""
    kind, name = kind_of(entity), name_of(entity)
    if kind == "replica":
        service, _, host = split_replica(name)
        return f"{service} on {host}"
    return name if kind == "service" else f"{kind} {name}"


def _counted(number: int, one: str) -> str:
    """`1 probe`, `3 probes`."""
    return f"{number} {one if number == 1 else one + 's'}"


def exit_text(code: int | None) -> str:
    """`signal 9`, `exit code 1`; by a shell's habit 137 is signal 9 too. Empty where it is not known."""
    if code is None:
        return ""
    number = -code if code < 0 else code - 128 if code > 128 else 0
    return f"signal {number}" if number in signal.valid_signals() else f"exit code {code}"


def was_killed(code: int | None) -> bool:
    """Whether it did not end by itself."""
    return exit_text(code).startswith("signal ")


def _replica(entity: str, metric: str) -> str:
    return f'{metric}{{replica="{name_of(entity)}"}}'


def gone(entity: EntityId, witness: Witnessed) -> Evidence:
    if witness.seen.state is Running.ABSENT and not witness.ever_ran:
        text = f"{called(entity)} is not there yet."
    else:
        why = exit_text(witness.seen.exit_code)
        text = f"Its host sees no process of {called(entity)} any more{f' ({why})' if why else ''}."
    return Evidence(
        "witness", text, 0.0, 1.0, "processes", witness.since_ns, _replica(entity, "weatherglass_replica_up")
    )


def stopped(entity: EntityId, witness: Witnessed) -> Evidence:
    return Evidence(
        "witness",
        f"Its host sees the process of {called(entity)}, but it is stopped and cannot answer.",
        0.0,
        1.0,
        "running",
        witness.since_ns,
        _replica(entity, "weatherglass_replica_up"),
    )


def quarantined(entity: EntityId, witness: Witnessed) -> Evidence:
    return Evidence(
        "witness",
        f"{called(entity)} failed to start too often ({_counted(witness.seen.restarts, 'restart')}) and is left alone until asked.",
        float(witness.seen.restarts),
        None,
        "restarts",
        witness.since_ns,
        _replica(entity, "weatherglass_replica_restarts_total"),
    )


def runs(entity: EntityId, witness: Witnessed) -> Evidence:
    state = "runs" if witness.seen.state is Running.RUNNING else "starts"
    return Evidence(
        "witness",
        f"Its host sees that {called(entity)} {state}; nothing asks it anything.",
        1.0,
        1.0,
        "running",
        witness.at_ns,
        _replica(entity, "weatherglass_replica_up"),
    )


def probe_failed(label: str, one: Probed) -> Evidence:
    where = "the server" if one.vantage == "server" else name_of(one.vantage) or one.vantage
    return Evidence(
        "probe",
        f"The probe from {where} failed: {one.detail or 'no answer'}.",
        0.0,
        1.0,
        "good",
        one.at_ns,
        f"weatherglass_probe_success{{{label}}}",
    )


def probes_good(label: str, probes: Probes, fresh: Sequence[Probed]) -> Evidence:
    newest = max(fresh, key=lambda one: one.at_ns)
    return Evidence(
        "probe",
        f"{_counted(probes.good_in_a_row, 'good probe')} in a row, the last in {units.duration(newest.seconds)}.",
        float(probes.good_in_a_row),
        3.0,
        "probes",
        newest.at_ns,
        f"weatherglass_probe_success{{{label}}}",
    )


def windows(bad: int, now_ns: int) -> Evidence:
    return Evidence(
        "probe",
        f"{bad} of the last 5 windows of 10 s {'was' if bad == 1 else 'were'} bad.",
        float(bad),
        3.0,
        "windows",
        now_ns,
    )


def slow(label: str, p95: float, limit: float, what: str, now_ns: int) -> Evidence:
    return Evidence(
        "latency",
        f"p95 of its answers is {units.duration(p95)}, above {what} of {units.duration(limit)}.",
        p95,
        limit,
        "s",
        now_ns,
        f"weatherglass_probe_seconds{{{label}}}",
    )


def pressure(entity: EntityId, share: float, limit: float, now_ns: int) -> Evidence:
    return Evidence(
        "saturation",
        f"Tasks of {called(entity)} were stalled for {share:.0%} of the last 10 s; {limit:.0%} is the bound.",
        share,
        limit,
        "share",
        now_ns,
        f"rate({_replica(entity, 'weatherglass_replica_pressure_cpu_waiting_seconds_total')}[1m])",
    )


def at_limit(entity: EntityId, resource: str, share: float, now_ns: int) -> Evidence:
    return Evidence(
        "saturation",
        f"{called(entity)} uses {share:.0%} of its {resource}.",
        share,
        FULL,
        "share",
        now_ns,
    )


def error_burst(entity: EntityId, count: int, usual: float, now_ns: int) -> Evidence:
    return Evidence(
        "logs",
        f"{_counted(count, 'line')} of level ERROR in 10 s from {called(entity)}; {usual:.1f} are usual.",
        float(count),
        usual,
        "lines",
        now_ns,
    )


def joint(entity: EntityId, tails: int, now_ns: int) -> Evidence:
    return Evidence(
        "anomaly",
        f"{tails} metrics of {called(entity)} are far off at once (each with a chance below 1 in 10,000).",
        float(tails),
        2.0,
        "metrics",
        now_ns,
    )


def phi(entity: EntityId, value: float, silent_s: float, now_ns: int) -> Evidence:
    text = f"The last heartbeat of {called(entity)} came {units.duration(silent_s)} ago"
    return Evidence("phi", f"{text} (φ {min(value, 999):.1f}).", min(value, 999.0), 8.0, "φ", now_ns)


def few_heartbeats(entity: EntityId, count: int, now_ns: int) -> Evidence:
    text = f"{_counted(count, 'heartbeat')} of {called(entity)} so far; its rhythm is known from 20 on."
    return Evidence("phi", text, float(count), 20.0, "heartbeats", now_ns)


def silent(host: str, now_ns: int) -> Evidence:
    text = f"host {host} fell silent together with half of all hosts: the observer is sick, not they."
    return Evidence("phi", text, None, None, "", now_ns)


def agent_silent(entity: EntityId, answers: bool, now_ns: int) -> Evidence:
    rest = "what runs on it still answers" if answers else "nothing else tells of it"
    return Evidence("witness", f"The agent of {called(entity)} is silent; {rest}.", None, None, "", now_ns)


def nothing_fresh(entity: EntityId, now_ns: int) -> Evidence:
    return Evidence("witness", f"Nothing fresh is known of {called(entity)}.", None, None, "", now_ns)


def uses_nothing(entity: EntityId, now_ns: int) -> Evidence:
    text = f"{called(entity)} uses no service that is watched for it."
    return Evidence("dependency", text, None, None, "", now_ns)


def hangs_on(entity: EntityId, parent: EntityId, now_ns: int, alone: bool = False) -> Evidence:
    """`alone`: the parent is the only replica of its service, and goes by the service's name."""
    name = called(parent)
    if kind_of(parent) == "replica":
        service, _, host = split_replica(name_of(parent))
        if (kind_of(entity), name_of(entity)) == ("service", service):
            text = f"Its {'one replica' if alone else f'replica on {host}'} is not well."
            return _hanging(text, parent, now_ns)
        name = service if alone else name
    return _hanging(f"{called(entity)} depends on {name}, which is not well.", parent, now_ns)


def _hanging(text: str, parent: EntityId, now_ns: int) -> Evidence:
    return Evidence("dependency", text, None, None, "", now_ns, f'weatherglass_state{{entity="{parent}"}}')


_MEMBERS = {
    "service": ("Its one replica", "replicas of {}"),
    "tenant": ("The one service it uses", "services that {} uses"),
    "zone": ("Its one host", "hosts of {}"),
}
"""Kind of a whole → how its only member and its many members are called."""


def members_well(entity: EntityId, members: Sequence[EntityId], now_ns: int) -> Evidence:
    one, many = _MEMBERS.get(kind_of(entity), ("Its one part", "parts of {}"))
    text = (
        f"All {len(members)} {many.format(called(entity))} are well."
        if len(members) > 1
        else f"{one} is well."
    )
    return Evidence("dependency", text, float(len(members)), None, "parts", now_ns)


def used(entity: EntityId, reading: Measured) -> Evidence:
    what = "is read-only" if reading.seen.read_only else f"is {reading.share:.0%} in use"
    text = f"{called(entity)} {what} ({units.size(reading.seen.free_bytes)} of {units.size(reading.seen.size_bytes)} free)."
    query = f'weatherglass_volume_used_share{{volume="{name_of(entity)}"}}'
    return Evidence("saturation", text, reading.share, FULL, "share", reading.at_ns, query)


def fills(entity: EntityId, left_s: float, now_ns: int) -> Evidence:
    text = f"At its pace {called(entity)} is full in {units.duration(left_s)}."
    query = f'weatherglass_volume_used_share{{volume="{name_of(entity)}"}}'
    return Evidence("forecast", text, left_s, None, "s", now_ns, query)
