"""What a query's nodes took and gave, for who asks for its plan and cost; and how many samples it looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from weatherglass.metrics.promql.ast import Node

if TYPE_CHECKING:
    from weatherglass.metrics.promql.vector import Vector
    from weatherglass.metrics.promql.windows import Windows


@dataclass
class Seen:
    """One node as it was evaluated: its text, what it came to, its own time with that of its inner nodes."""

    text: str
    kind: str
    type: str
    series: int = 0
    steps: int = 0
    samples: int = 0
    seconds: float = 0.0
    inner: list[Seen] = field(default_factory=list)

    def of(self, vector: Vector, steps: int) -> None:
        self.series, self.steps = len(vector.labels), steps
        self.samples = int(np.count_nonzero(vector.present))

    def of_windows(self, windows: Windows) -> None:
        self.series, self.steps = windows.shape
        self.samples = windows.looked_at

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `ms` is the time of this node and all inside it."""
        return {
            "node": self.kind, "expr": self.text, "type": self.type, "series": self.series, "steps": self.steps,
            "samples": self.samples, "ms": round(self.seconds * 1000, 3),
            "inner": [one.as_dict() for one in self.inner],
        }  # fmt: skip


@dataclass
class Trace:
    """What one query looked at; the tree of nodes only where it was asked for."""

    samples: int = 0
    roots: list[Seen] = field(default_factory=list)
    _open: list[Seen] = field(default_factory=list)

    @contextmanager
    def node(self, node: Node) -> Iterator[Seen]:
        seen = Seen(node.source[node.start : node.end], type(node).__name__.lower(), str(node.type))
        (self._open[-1].inner if self._open else self.roots).append(seen)
        self._open.append(seen)
        began = time.perf_counter()
        try:
            yield seen
        finally:
            seen.seconds = time.perf_counter() - began
            self._open.pop()
