"""Evidence as pages show it: charts with their limits, and the sentence at the top for either lens.

A tenant is told only what is composed here from structure (its own state, the services it uses); free text that
rooms wrote for operators may name others and never reaches a tenant's page.
"""

from __future__ import annotations

from typing import Any

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.ids import name_of
from weatherglass.base.time import SECOND_NS
from weatherglass.portal import signals
from weatherglass.portal.charts import Chart
from weatherglass.portal.kit import Visit
from weatherglass.portal.words import Part, pretty, seconds_of, state_word

SIGNALS = {
    "phi": "heartbeats",
    "probe": "probe",
    "latency": "latency",
    "anomaly": "anomaly",
    "logs": "logs",
    "saturation": "saturation",
    "forecast": "forecast",
    "witness": "witness",
    "dependency": "dependency",
    "change": "change",
}
"""The signals of docs/health.md in a word each."""


def evidence_chart(
    visit: Visit, item: Any, state: str, start_ns: int, end_ns: int, onset_ns: int = 0, title: str = ""
) -> Chart:
    """One piece of evidence over a span: its query, its threshold, the instant it began."""
    marks = ((onset_ns / SECOND_NS, "onset"),) if onset_ns else ()
    return signals.chart(
        visit,
        title or SIGNALS.get(str(item.signal), str(item.signal)).capitalize(),
        item.unit,
        item.query,
        start_ns,
        end_ns,
        threshold=item.threshold,
        marks=marks,
        note=f"onset {seconds_of(onset_ns)}" if onset_ns else "",
        state=state if state != "healthy" else "accent",
    )


def sentence_of(visit: Visit) -> list[Part]:
    """Health's sentence in parts; when health cannot speak, that is what is said."""
    try:
        parts = visit.rooms.health.sentence()
    except WeatherglassError as error:
        return [f"The house cannot say how the cloud is: {error.message}"]
    return [p if isinstance(p, str) else (str(p[0]), str(p[1])) for p in parts] or [
        "Nothing is declared yet."
    ]


def tenant_sentence(visit: Visit) -> list[Part]:
    """How one tenant's part of the cloud is, from its own state and those of the services it uses."""
    own = f"tenant/{visit.lens.tenant}"
    state = visit.state(own)
    ill = [id for id in visit.web.of_kind.get("service", ()) if visit.state(id) in ("sick", "dying", "dead")]
    parts: list[Part] = [(own, visit.lens.tenant)]
    if not ill and state == "healthy":
        return [*parts, " is healthy: every service it uses works."]
    parts.append(f" is {state}")
    if ill:
        parts.append(": ")
        for i, id in enumerate(ill):
            parts += [", " if i else "", (id, name_of(id)), f" is {visit.state(id)}"]
    parts.append(".")
    return parts


def tenant_incident_sentence(visit: Visit, incident: Any) -> list[Part]:
    """An incident told to one tenant: what it felt of the services it uses, and whether it is over."""
    seen = [id for id in map(str, incident.affected) if visit.sees(id) and not id.startswith("tenant/")]
    parts: list[Part] = []
    for i, id in enumerate(seen):
        parts += [", " if i else "", (id, pretty(id))]
    if not seen:
        parts.append("The cloud")
    over = incident.state == "closed"
    parts.append(
        f" {'was' if over else 'is'} disturbed{'. It is over.' if over else '. The operators are told.'}"
    )
    return parts


def states_over(history: Any, start_ns: int, end_ns: int) -> list[tuple[str, int, int]]:
    """A history of StateRecords as (state, from, to) stretches that fill the span, oldest first."""
    records = sorted(history, key=lambda r: r.since_ns or r.at_ns)
    stretches: list[tuple[str, int, int]] = []
    for i, record in enumerate(records):
        begin = max(start_ns, record.since_ns or record.at_ns)
        finish = (records[i + 1].since_ns or records[i + 1].at_ns) if i + 1 < len(records) else end_ns
        if finish <= begin:
            continue
        word = state_word(record.state)
        if stretches and stretches[-1][0] == word:
            stretches[-1] = (word, stretches[-1][1], min(finish, end_ns))
        else:
            stretches.append((word, begin, min(finish, end_ns)))
    return stretches
