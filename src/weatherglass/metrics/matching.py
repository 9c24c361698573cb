"""Label sets and matchers: what a valid label set is, and which values a matcher accepts. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from weatherglass.base.errors import Invalid, LimitExceeded
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.regex import compiled
from weatherglass.metrics.types import Matcher, SeriesLimits

_CHARACTER = r"(?:\\[^A-Za-z0-9\s]|[^\\.+*?()\[\]{}^$|])"
_LITERAL = re.compile(f"{_CHARACTER}*")
_LITERALS = re.compile(rf"(?:{_CHARACTER}|\|)*")
_GROUP = re.compile(r"\((?:\?:)?([^()]*)\)")
_SHAPES = (
    ("begins", re.compile(rf"({_CHARACTER}*)\.([*+])")),
    ("ends", re.compile(rf"\.([*+])({_CHARACTER}+)")),
    ("contains", re.compile(rf"\.\*({_CHARACTER}+)\.\*")),
)


def canonical(pairs: Iterable[tuple[str, str]], limits: SeriesLimits) -> Labels:
    """The label set of a series: sorted, without empty values. Raises Invalid, LimitExceeded."""
    labels = tuple(sorted([pair for pair in pairs if pair[1]]))
    by_name = dict(labels)
    if "__name__" not in by_name:
        raise Invalid("a series without a name", where=_show(labels), mend="give it the label __name__")
    if "" in by_name:
        raise Invalid("a label without a name", where=_show(labels), mend="every label has a name")
    if len(by_name) != len(labels):
        twice = next(a for (a, _), (b, _) in pairwise(labels) if a == b)
        raise Invalid(f"the label {twice} stands twice", where=_show(labels), mend="send each label once")
    if 0 < limits.label_names < len(labels):
        raise LimitExceeded(
            f"{len(labels)} labels; at most {limits.label_names}",
            where=_show(labels),
            mend="send fewer labels a series",
        )
    for name, value in labels:
        if _over(name, limits.label_name_bytes):
            raise LimitExceeded(
                f"a label's name is over {limits.label_name_bytes} bytes", where=_show(labels)
            )
        if _over(value, limits.label_value_bytes):
            raise LimitExceeded(
                f"the value of {name} is over {limits.label_value_bytes} bytes", where=_show(labels)
            )
    return labels


def _over(text: str, most: int) -> bool:
    # A character has at most four bytes: nearly every text is told by its length alone.
    return len(text) * 4 > most > 0 and len(text.encode()) > most


def _show(labels: Labels) -> str:
    text = "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"
    return text if len(text) <= 200 else text[:200] + "…"


def literal(pattern: str) -> str | None:
    """The one text that a regex matches; None where there may be others."""
    if not _LITERAL.fullmatch(pattern):
        return None
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL) if "\\" in pattern else pattern


def alternatives(pattern: str) -> list[str] | None:
    """The literals of `a|b|c` or `(a|b|c)`, which dashboards send by the hundred; None where it is a true regex."""
    group = _GROUP.fullmatch(pattern)
    if group:
        pattern = group[1]
    if "\\|" in pattern or not _LITERALS.fullmatch(pattern):
        return None
    return [str(literal(one)) for one in pattern.split("|")]


class Shape(NamedTuple):
    """What a simple regex says of a value: where the text stands, and how many bytes more there are at least."""

    place: Literal["begins", "ends", "contains"]
    text: str
    more: int


def shape(pattern: str) -> Shape | None:
    """`a.*`, `a.+`, `.*a`, `.+a`, `.*a.*`, `.+`, `.*`: to be answered without a regex engine. None for others."""
    for place, form in _SHAPES:
        found = form.fullmatch(pattern)
        if not found:
            continue
        many, text = (found[2], found[1]) if place == "begins" else (found[1], found[found.re.groups])
        return Shape(place, str(literal(text)), int(place != "contains" and many == "+"))  # type: ignore[arg-type]
    return None


def beginning(pattern: str) -> str:
    """A text that every value which a regex matches begins with; often the empty one."""
    if "|" in pattern or pattern.startswith("(?"):
        return ""
    found = re.match(f"{_CHARACTER}*", pattern)
    sure = found[0] if found else ""
    if pattern[len(sure) : len(sure) + 1] in ("*", "?", "{"):
        last = re.search(f"{_CHARACTER}$", sure)
        sure = sure[: last.start()] if last else ""
    return str(literal(sure))


def accepts(matcher: Matcher) -> Callable[[str], bool]:
    """Whether a value (absent: the empty string) passes. Raises Invalid for a regex that does not compile."""
    value = matcher.value
    if matcher.op == "=":
        return lambda text: text == value
    if matcher.op == "!=":
        return lambda text: text != value
    literals = alternatives(value)
    if literals is not None:
        chosen = frozenset(literals)
        if matcher.op == "=~":
            return lambda text: text in chosen
        return lambda text: text not in chosen
    try:
        full = compiled(value).fullmatch
    except Invalid as error:
        raise Invalid(error.message, where=f"matcher of {matcher.name}", mend=error.mend) from error
    if matcher.op == "=~":
        return lambda text: full(text) is not None
    return lambda text: full(text) is None


def check(matchers: Sequence[Matcher]) -> None:
    """At least one matcher must refuse the empty string, or everything is asked for (Prometheus). Raises Invalid."""
    if all(accepts(matcher)("") for matcher in matchers):
        raise Invalid(
            "a selector must have a matcher that does not match the empty string",
            mend='name the metric, or give a label such as job=~".+"',
        )
