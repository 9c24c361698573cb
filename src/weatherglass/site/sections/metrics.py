"""`metrics:` how long samples are kept, and what is kept of them afterwards."""

from __future__ import annotations

import re
from math import lcm
from typing import NamedTuple

from weatherglass.base.units import parse_duration
from weatherglass.site.fields import NAME, REQUIRED, Field, ListOf, MapOf, Record, Scalar, plain_name
from weatherglass.site.section import Context, Section

FOREVER = "forever"

_WORD = r"[a-zA-Z_:][a-zA-Z0-9_:.]*"
_MATCHER = re.compile(rf'\s*({_WORD})\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_SELECTOR = re.compile(rf"\s*({_WORD})?\s*(?:\{{(.*)\}})?\s*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t"}

METHODS = ("mean", "sum", "last", "max", "min", "std", "median", "first", "count")
_PERCENTILE = re.compile(r"p([1-9][0-9]?)|([1-9][0-9]?)pct")

RETENTION_S = 15 * 86400.0


class Kept(NamedTuple):
    """One granularity: every so many seconds, by which methods (as `metrics.granularity` names them), for how long
    (None: without end)."""

    every_s: float
    methods: tuple[str, ...]
    keep_s: float | None


class Policy(NamedTuple):
    """What is kept of the series that `matchers` (name, operator, value) find in `tenant` (empty: in every one), and
    that no policy before takes."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    tenant: str
    keep_s: float | None
    rollups: tuple[Kept, ...]


class Retention(NamedTuple):
    """The section: raw samples of series that no policy takes are kept for `keep_s` (None: without end)."""

    keep_s: float | None = RETENTION_S
    policies: tuple[Policy, ...] = ()

    def of(self, tenant: str) -> tuple[Policy, ...]:
        """The policies of one tenant, in their order."""
        return tuple(policy for policy in self.policies if policy.tenant in ("", tenant))


def parse_selector(text: str) -> tuple[tuple[str, str, str], ...]:
    """(label, operator, value) of each matcher of `name{label="value", …}`. Raises ValueError."""
    form = _SELECTOR.fullmatch(text)
    if not form or not text.strip():
        raise ValueError(
            f'{text!r} selects no series; write one like node_cpu_seconds_total or {{job="node"}}'
        )
    found = [("__name__", "=", form[1])] if form[1] else []
    inner, at = form[2] or "", 0
    while at < len(inner.rstrip()):
        matcher = _MATCHER.match(inner, at)
        if not matcher:
            raise ValueError(
                f'{inner[at:].strip()[:40]!r} is no matcher; write label="value", or =~ with a regex'
            )
        value = _ESCAPE.sub(lambda one: _ESCAPES.get(one[1], one[1]), matcher[3])
        if matcher[2] in ("=~", "!~"):
            _checked(value)
        found.append((matcher[1], matcher[2], value))
        at = matcher.end()
    if not any(op in ("=", "=~") and value for _, op, value in found):
        raise ValueError(f"{text!r} takes every series; name one, or match a label with = or =~")
    return tuple(found)


def _checked(pattern: str) -> None:
    import re2  # what the store matches with; only where a regex is declared

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression (RE2)") from error


def _method(text: str) -> str:
    percentile = _PERCENTILE.fullmatch(text)
    if percentile:
        return f"{percentile[1] or percentile[2]}pct"
    if text not in METHODS:
        raise ValueError(f"{text!r} is not a method; one of {', '.join(METHODS)}, p1 … p99")
    return text


def _keep(text: str) -> float | None:
    return None if text.strip() == FOREVER else parse_duration(text)


def _step(text: str) -> str:
    if parse_duration(text) < 1:
        raise ValueError(f"{text!r} is below a second")
    return text


SELECTOR = Scalar(parse_selector, {"type": "string"}, 'a selector like {job="node"}')
KEEP = Scalar(_keep, {"type": "string"}, "a duration like 90d, or forever")
METHOD = Scalar(_method, {"type": "string"}, "a method like mean, max or p95")


class _Every(NamedTuple):
    methods: tuple[str, ...]
    keep: float | None


class _Written(NamedTuple):
    series: tuple[tuple[str, str, str], ...]
    tenant: str
    keep: float | None
    every: dict[str, _Every]


class _Section(NamedTuple):
    retention: float | None
    rollups: dict[str, _Written]


def _finish(context: Context) -> Retention:
    section: _Section | Retention = context.values["metrics"]
    if isinstance(section, Retention):
        return section
    policies = []
    for name, written in section.rollups.items():
        path = f"metrics.rollups.{name}"
        if written.tenant and written.tenant != "site":
            context.refer(f"{path}.tenant", "tenants", written.tenant)
        rollups = tuple(
            Kept(parse_duration(step), methods, keep) for step, (methods, keep) in written.every.items()
        )
        steps = [round(one.every_s * 1000) for one in rollups]
        if len(set(steps)) < len(steps):
            context.report.add(f"{path}.every", "a granularity stands twice", "give each once")
        elif steps and written.keep is not None and written.keep * 1000 < lcm(*steps):
            context.report.add(
                f"{path}.keep",
                f"raw samples must last {lcm(*steps) / 1000:g} s, where all granularities meet",
                "keep them longer, or choose granularities that divide each other",
            )
        policies.append(Policy(name, written.series, written.tenant, written.keep, rollups))
    return Retention(section.retention, tuple(policies))


SECTION = Section(
    name="metrics",
    type=Record(
        {
            "retention": Field(
                KEEP, "how long samples are kept that no roll-up takes", RETENTION_S, "default: 15d"
            ),
            "rollups": Field(
                MapOf(
                    Record(
                        {
                            "series": Field(SELECTOR, "which; what one takes, those below do not", REQUIRED),
                            "tenant": Field(NAME, "whose", "", "default: everybody's"),
                            "keep": Field(
                                KEEP, "how long the samples themselves", RETENTION_S, "default: 15d"
                            ),
                            "every": Field(
                                MapOf(
                                    Record(
                                        {
                                            "methods": Field(
                                                ListOf(METHOD, single=True, least=1), "what is kept", REQUIRED
                                            ),
                                            "keep": Field(KEEP, "for how long", None, "default: forever"),
                                        },
                                        _Every,
                                        short=("list", "methods"),
                                    ),
                                    key=_step,
                                ),
                                "granularity → what is kept at it",
                                {},
                                "default: nothing",
                            ),
                        },
                        _Written,
                    ),
                    key=plain_name,
                ),
                "which series are rolled up, and how",
                {},
                "default: none",
            ),
        },
        _Section,
    ),
    doc="How long samples are kept, and what is kept of them afterwards.",
    empty=Retention(),
    after=("tenants",),
    finish=_finish,
)
