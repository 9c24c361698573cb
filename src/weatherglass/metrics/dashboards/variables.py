"""Variables put into queries, as Grafana does it for Prometheus; and what a variable may be. Pure.

`$name`, `${name}`, `${name:format}`, `[[name]]`; several values become `(a|b)`, escaped for a regular expression inside
PromQL's quotes; `$__interval`, `$__rate_interval`, `$__range` and their kin come from the span and the step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from weatherglass.metrics.dashboards.model import Variable

ALL = "$__all"
VALUES_AT_MOST = 1_000
_PLACE = re.compile(r"\$\{(\w+)(?:\.\w+)?(?::([\w-]+))?\}|\$(\w+)|\[\[(\w+)(?::([\w-]+))?\]\]")
_SPECIAL = re.compile(r"[\\^$.*+?()\[\]{}|]")


class Span(NamedTuple):
    """What the page shows, in ms; `scrape_ms` is how often samples come, as far as is known."""

    start_ms: int
    end_ms: int
    step_ms: int
    scrape_ms: int = 15_000

    def own(self) -> dict[str, str]:
        """The variables that every dashboard has."""
        length = self.end_ms - self.start_ms
        rate = max(self.step_ms + self.scrape_ms, 4 * self.scrape_ms)
        return {
            "__interval": _duration(self.step_ms), "__interval_ms": str(self.step_ms),
            "__rate_interval": _duration(rate), "__rate_interval_ms": str(rate), "interval": _duration(self.step_ms),
            "__range": _duration(length // 1000 * 1000), "__range_s": str(length // 1000), "__range_ms": str(length),
            "__from": str(self.start_ms), "__to": str(self.end_ms), "__auto_interval": _duration(self.step_ms),
        }  # fmt: skip


def _duration(ms: int) -> str:
    ms = max(ms, 1)
    return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"


class Filled(NamedTuple):
    """A query with its variables put in, and the names that nothing is known of."""

    text: str
    unknown: tuple[str, ...]


Chosen = Mapping[str, Sequence[str]]
"""Variable → the values that count now (all of them where all was chosen)."""


def fill(
    text: str, variables: Sequence[Variable], chosen: Chosen, every: Chosen, span: Span, how: str = ""
) -> Filled:
    """`every` has all values of each variable, for `$__all` without a value of its own; `how` is the format of those
    that name none (`text` for titles)."""
    about = {one.name: one for one in variables}
    own, unknown = span.own(), []

    def put(form: re.Match[str]) -> str:
        name, form_of = form[1] or form[3] or form[4], form[2] or form[5] or how
        variable = about.get(name)
        if variable is None:
            if name in own:
                return own[name]
            if name.isdigit():  # a replacement of label_replace, `$1`
                return form[0]
            unknown.append(name)
            return form[0]
        return _shown(variable, list(chosen.get(name, ())), list(every.get(name, ())), form_of)

    return Filled(_PLACE.sub(put, text), tuple(dict.fromkeys(unknown)))


def _shown(variable: Variable, chosen: list[str], every: list[str], how: str) -> str:
    if ALL in chosen:
        if how == "text":
            return "all"
        if variable.all_value:
            return variable.all_value
        chosen = every
        if not chosen:
            return ".*"
    if how in FORMATS:
        return FORMATS[how](chosen)
    if not (variable.multi or variable.all):
        return _quoted(chosen[0]) if chosen else ""
    return FORMATS["regex"](chosen)


def _quoted(text: str) -> str:
    """A value as it may stand between PromQL's double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def escaped(text: str) -> str:
    """A value inside a regular expression inside PromQL's double quotes."""
    return _SPECIAL.sub(lambda form: "\\\\" + form[0].replace("\\", "\\\\"), text).replace('"', '\\"')


def _regex(values: Sequence[str]) -> str:
    parts = [escaped(value) for value in values]
    return parts[0] if len(parts) == 1 else f"({'|'.join(parts)})"


FORMATS: dict[str, Callable[[Sequence[str]], str]] = {
    "regex": _regex,
    "pipe": "|".join,
    "csv": ",".join,
    "raw": ",".join,
    "text": " + ".join,
    "glob": lambda values: values[0] if len(values) == 1 else "{" + ",".join(values) + "}",
    "doublequote": lambda values: ",".join(f'"{value}"' for value in values),
    "singlequote": lambda values: ",".join(f"'{value}'" for value in values),
}
"""`${name:format}` → how several values are written."""


# --- where values come from ---


class Ask(NamedTuple):
    """A variable's query, read: what kind, a selector or an expression (may be empty), a label or a pattern."""

    kind: Literal["label_values", "label_names", "metrics", "query_result"]
    expr: str = ""
    name: str = ""


_CALL = re.compile(r"\s*(label_values|label_names|metrics|query_result)\s*\((.*)\)\s*", re.DOTALL)


def read_query(text: str) -> Ask | None:
    """`label_values(label)`, `label_values(selector, label)`, `label_names()`, `metrics(pattern)`, `query_result(expr)`;
    None where it is none of them."""
    form = _CALL.fullmatch(text)
    if form is None:
        return None
    kind, inside = form[1], form[2].strip()
    if kind == "label_values":
        selector, _, label = inside.rpartition(",")
        label = label.strip()
        return Ask("label_values", selector.strip(), label) if re.fullmatch(r"[A-Za-z_]\w*", label) else None
    if kind == "label_names":
        return Ask("label_names", inside)
    if kind == "metrics":
        return Ask("metrics", name=inside.strip("\"'"))
    return Ask("query_result", inside)


def sifted(values: Sequence[str], pattern: str) -> list[str]:
    """What a variable's regex leaves: the whole of what matches, or its first group. A bad one leaves all."""
    text = pattern.strip()
    if text.startswith("/") and text.rfind("/") > 0:
        text = text[1 : text.rfind("/")]
    try:
        form = re.compile(re.sub(r"\(\?<([A-Za-z])", r"(?P<\1", text)) if text else None
    except re.error:
        form = None
    found: dict[str, None] = {}
    for value in values:
        if form is None:
            found[value] = None
        elif (hit := form.search(value)) is not None:
            groups = hit.groupdict()
            found[groups.get("value") or (hit[1] if form.groups and hit[1] is not None else hit[0])] = None
    return list(found)[:VALUES_AT_MOST]


def choose(variable: Variable, asked: Sequence[str], every: Sequence[str]) -> list[str]:
    """What counts now: what was asked for, else the default, else all or the first."""
    if variable.kind == "constant":
        return list(variable.default)
    if variable.kind == "text":
        return list(asked[:1] or variable.default)
    wanted = [one for one in asked if (one == ALL and variable.all) or one in every]
    if not wanted:
        wanted = [one for one in variable.default if (one == ALL and variable.all) or one in every]
    if not wanted:
        wanted = [ALL] if variable.all else list(every[:1])
    if ALL in wanted:
        return [ALL]
    return wanted if variable.multi else wanted[:1]
