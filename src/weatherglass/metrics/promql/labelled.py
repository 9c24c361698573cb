"""Functions that look at labels, at whole vectors or at the clock: kernels of kind `labels` in `functions.py`.

Each takes the running evaluation and the call, and gives a Vector, or (n_steps,) where it returns a scalar.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.promql.ast import Call, Node, Selector, StringLiteral
from weatherglass.metrics.promql.vector import Vector, larger, smaller, united, with_label
from weatherglass.metrics.regex import compiled
from weatherglass.metrics.types import FloatArray

if TYPE_CHECKING:
    from weatherglass.metrics.promql.evaluation import Evaluation


def _text(node: Node) -> str:
    assert isinstance(node, StringLiteral)
    return node.value


def _equal_labels(node: Node) -> Labels:
    """The labels that an `absent` can be sure of: those of `=` matchers that no later matcher of the label unsettles."""
    if not isinstance(node, Selector):
        return ()
    found: dict[str, str] = {}
    seen: set[str] = set()
    for m in node.matchers:
        if m.name == "__name__":
            continue
        if m.op == "=" and m.name not in seen:
            found[m.name] = m.value
            seen.add(m.name)
        else:
            found.pop(m.name, None)
    return tuple(sorted((name, value) for name, value in found.items() if value))


def absent(ev: Evaluation, call: Call) -> Vector:
    there = np.asarray(ev.vector(call.args[0]).present.any(axis=0))
    return Vector([_equal_labels(call.args[0])], np.ones((1, len(there))), ~there[None, :])


def absent_over_time(ev: Evaluation, call: Call) -> Vector:
    there = np.asarray(ev.windows(call.args[0]).any.any(axis=0))
    return Vector([_equal_labels(call.args[0])], np.ones((1, ev.steps)), ~there[None, :])


def scalar(ev: Evaluation, call: Call) -> FloatArray:
    inner = ev.vector(call.args[0])
    there = inner.floats
    one = there.sum(axis=0) == 1
    return np.where(one, np.where(there, inner.values, 0.0).sum(axis=0), np.nan)


def vector(ev: Evaluation, call: Call) -> Vector:
    return Vector([()], ev.scalar(call.args[0])[None, :], np.ones((1, ev.steps), np.bool_))


def timestamp(ev: Evaluation, call: Call) -> Vector:
    node = call.args[0]
    if isinstance(node, Selector):
        inner, times = ev.selector(node)
        seconds = times() / 1000.0
    else:
        inner = ev.vector(node)
        seconds = np.broadcast_to(ev.at_ms / 1000.0, inner.values.shape)
    return ev.unnamed(inner.plain(np.array(seconds), inner.present))


def time(ev: Evaluation, call: Call) -> FloatArray:
    return ev.at_ms / 1000.0


def pi(ev: Evaluation, call: Call) -> FloatArray:
    return np.full(ev.steps, np.pi)


def date(field: Callable[[FloatArray], FloatArray]) -> Callable[[Evaluation, Call], Vector]:
    def kernel(ev: Evaluation, call: Call) -> Vector:
        if not call.args:
            return Vector([()], field(ev.at_ms / 1000.0)[None, :], np.ones((1, ev.steps), np.bool_))
        inner = ev.vector(call.args[0])
        return ev.unnamed(inner.plain(field(inner.values), inner.floats))

    return kernel


def clamp(ev: Evaluation, call: Call) -> Vector:
    inner, low, high = ev.vector(call.args[0]), ev.scalar(call.args[1]), ev.scalar(call.args[2])
    values = larger(low, smaller(high, inner.values))
    return ev.unnamed(inner.plain(values, inner.floats & ~(low > high)))


def _ordered(inner: Vector, descending: bool) -> Vector:
    if inner.values.shape[1] != 1:
        return inner  # a range query's series have no order to give
    inner = inner.plain(inner.values, inner.floats)
    value = inner.values[:, 0]
    return inner.rows(np.lexsort((-value if descending else value, np.isnan(value))))


def sort(ev: Evaluation, call: Call) -> Vector:
    return _ordered(ev.vector(call.args[0]), descending=False)


def sort_desc(ev: Evaluation, call: Call) -> Vector:
    return _ordered(ev.vector(call.args[0]), descending=True)


def _natural(text: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part
    ]


def _by_label(ev: Evaluation, call: Call, *, descending: bool) -> Vector:
    inner = ev.vector(call.args[0])
    names = [_text(node) for node in call.args[1:]]
    sets = [dict(one) for one in inner.labels]
    order = sorted(
        range(len(sets)),
        key=lambda i: ([_natural(sets[i].get(n, "")) for n in names], inner.labels[i]),
        reverse=descending,
    )
    return inner.rows(order)


def sort_by_label(ev: Evaluation, call: Call) -> Vector:
    return _by_label(ev, call, descending=False)


def sort_by_label_desc(ev: Evaluation, call: Call) -> Vector:
    return _by_label(ev, call, descending=True)


def _destination(name: str, function: str) -> str:
    if not name:
        raise Invalid(f'invalid destination label name in {function}(): ""', mend="name a label")
    return name


def _go_template(replacement: str) -> Callable[[Any], str]:
    """Go's `$1`, `${name}`, `$$` in a replacement; an unknown group is empty."""
    form = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")

    def group(match: Any, name: str) -> str:
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    def expand(match: Any) -> str:
        return form.sub(lambda m: "$" if m[0] == "$$" else group(match, m[1] or m[2]), replacement)

    return expand


def label_replace(ev: Evaluation, call: Call) -> Vector:
    inner = ev.vector(call.args[0])
    target, replacement, source, regex = (_text(node) for node in call.args[1:])
    _destination(target, "label_replace")
    try:
        pattern = compiled(regex)
    except Invalid as why:
        raise Invalid(f"invalid regular expression in label_replace(): {regex}", mend=why.message) from None
    expand = _go_template(replacement)
    labels = []
    for one in inner.labels:
        match = pattern.fullmatch(dict(one).get(source, ""))
        labels.append(with_label(one, target, expand(match)) if match else one)
    return _relabelled(inner, labels, target)


def label_join(ev: Evaluation, call: Call) -> Vector:
    inner = ev.vector(call.args[0])
    target, separator, *sources = (_text(node) for node in call.args[1:])
    _destination(target, "label_join")
    labels = [
        with_label(one, target, separator.join(dict(one).get(s, "") for s in sources)) for one in inner.labels
    ]
    return _relabelled(inner, labels, target)


def _relabelled(inner: Vector, labels: list[Labels], target: str) -> Vector:
    """Other labels; a name that is set stays."""
    nameless = None if target == "__name__" else inner.nameless
    return united(Vector(labels, inner.values, inner.present, inner.histograms, nameless))


def bound_of(which: str) -> Callable[[Evaluation, Call], FloatArray]:
    """The query's own start, end, range or step, s."""

    def kernel(ev: Evaluation, call: Call) -> FloatArray:
        return np.full(ev.steps, ev.query.seconds(which))

    return kernel
