"""Label sets and matchers: what a valid label set is, and which values a matcher accepts. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from weatherglass.base.errors import Invalid, LimitExceeded
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.regex import compiled
from weatherglass.metrics.types import Matcher, SeriesLimits

_LITERALS = re.compile(r"[^\\.+*?()\[\]{}^$]*")


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


def alternatives(pattern: str) -> list[str] | None:
    """The literals of `a|b|c`, which dashboards send by the hundred; None where it is a true regex."""
    return pattern.split("|") if _LITERALS.fullmatch(pattern) else None


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
