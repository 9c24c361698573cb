"""`info(v, {selector})`: labels of info series (as `target_info`) given to what they describe, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from weatherglass.base.errors import Invalid
from weatherglass.engine.protocols import Labels
from weatherglass.metrics.matching import accepts
from weatherglass.metrics.promql.ast import Call, Selector, ValueType
from weatherglass.metrics.promql.vector import Vector, keep, show, stacked, united
from weatherglass.metrics.types import BoolArray, Matcher

if TYPE_CHECKING:
    from weatherglass.metrics.promql.evaluation import Evaluation

IDENTIFYING = ("instance", "job")
_DEFAULT = Matcher("__name__", "=", "target_info")


def info(ev: Evaluation, call: Call) -> Vector:
    inner = ev.vector(call.args[0])
    asked = call.args[1].matchers if len(call.args) > 1 and isinstance(call.args[1], Selector) else ()
    names = [m for m in asked if m.name == "__name__"]
    conditions = [m for m in asked if m.name != "__name__"]
    start = call.start
    found = ev.selector(
        Selector(
            start=start, end=call.end, type=ValueType.VECTOR, source=call.source,
            matchers=(*(names or [_DEFAULT]), *conditions),
        )
    )[0]  # fmt: skip
    by_key: dict[Labels, list[int]] = {}
    for row, one in enumerate(found.labels):
        by_key.setdefault(keep(one, IDENTIFYING), []).append(row)
    wanted = frozenset(m.name for m in conditions) or None
    # A condition that nothing meets leaves the series out, unless a missing label meets it too.
    needed = not all(accepts(m)("") for m in conditions)
    infos = [
        all(accepts(m)(dict(one).get("__name__", "")) for m in names or [_DEFAULT]) for one in inner.labels
    ]
    parts: list[Vector] = []
    for row, one in enumerate(inner.labels):
        key = keep(one, IDENTIFYING)
        base = inner.rows([row])
        if infos[row]:
            parts.append(base)
            continue
        partners = by_key.get(key, []) if key else []
        parts += _variants(base, found, partners, wanted, needed=needed)
    return united(stacked(parts)) if parts else Vector.empty(ev.steps)


def _variants(
    base: Vector, found: Vector, partners: list[int], wanted: frozenset[str] | None, *, needed: bool
) -> list[Vector]:
    """One series under each label set that its info series give it over the steps."""
    steps = base.values.shape[1]
    which = np.stack([found.present[row] for row in partners]) if partners else np.zeros((0, steps), np.bool_)
    patterns, of_step = (
        np.unique(which, axis=1, return_inverse=True) if partners else (which, np.zeros(steps, int))
    )
    out = []
    for k in range(max(patterns.shape[1], 1) if partners else 1):
        at: BoolArray = np.ravel(of_step) == k
        if not (base.present[0] & at).any():
            continue
        present = (
            [row for row, there in zip(partners, patterns[:, k], strict=True) if there] if partners else []
        )
        labels = _joined(base.labels[0], [found.labels[row] for row in present], wanted)
        if needed and not present:
            continue
        one = base.where(base.present & at)
        out.append(Vector([labels], one.values, one.present, one.histograms, one.nameless))
    return out


def _joined(labels: Labels, infos: list[Labels], wanted: frozenset[str] | None) -> Labels:
    own = dict(labels)
    given: dict[str, str] = {}
    by_name: dict[str, Labels] = {}
    for one in infos:
        name = dict(one).get("__name__", "")
        if name in by_name:
            raise Invalid(
                f"found duplicate series for info metric: existing {show(by_name[name])}, new {show(one)}"
            )
        by_name[name] = one
        for key, value in one:
            if (
                key == "__name__"
                or key in IDENTIFYING
                or key in own
                or (wanted is not None and key not in wanted)
            ):
                continue
            if given.setdefault(key, value) != value:
                raise Invalid(f"conflicting label: {key}", where=show(one))
    return tuple(sorted({**own, **given}.items()))
