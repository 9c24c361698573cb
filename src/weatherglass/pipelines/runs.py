"""Measured runs as values, and their CSV. Pure: text in, arrays out; every mistake with its line."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

import numpy as np

from weatherglass.base.errors import Invalid, Problem
from weatherglass.pipelines.laws import FloatArray

_MOST_RUNS = 100_000
_FLAVOUR = ("flavour", "flavor", "instance_type")


@dataclass(frozen=True, slots=True)
class Runs:
    """What was run: instances, seconds and input size of each run; three float64 arrays of one length.

    `sized` says whether sizes differ; `size` is relative to `reference`, the largest that was run.
    """

    n: FloatArray
    seconds: FloatArray
    size: FloatArray
    reference: float = 1.0

    @property
    def sized(self) -> bool:
        return bool(len(self.size)) and float(self.size.min()) != float(self.size.max())

    def relative(self, size: float | None) -> float:
        """A size given by a person, relative to the reference; the reference itself where none is given."""
        return 1.0 if size is None else size / self.reference

    def levels(self) -> np.ndarray:
        """(runs,) int64: which (n, size) each run belongs to; runs repeated at one share a number."""
        both = np.stack([self.n, self.size], axis=1)
        return np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)


def make(n: list[float], seconds: list[float], size: list[float] | None = None) -> Runs:
    """Runs from lists. Raises Invalid for numbers that no run can have."""
    problems = []
    for number, (instances, took) in enumerate(zip(n, seconds, strict=True), 1):
        if not (math.isfinite(instances) and instances >= 1):
            problems.append(Problem(f"n is {instances:g}; a run has one instance or more", f"run {number}"))
        if not (math.isfinite(took) and took > 0):
            problems.append(Problem(f"seconds is {took:g}; a run takes more than none", f"run {number}"))
        if size is not None and not (math.isfinite(size[number - 1]) and size[number - 1] > 0):
            problems.append(Problem(f"size is {size[number - 1]:g}; more than 0 is needed", f"run {number}"))
    if problems:
        raise Invalid(problems[0].message, where=problems[0].where, problems=problems)
    sizes = np.array(size if size is not None else [1.0] * len(n), dtype=np.float64)
    reference = float(sizes.max()) if len(sizes) else 1.0
    return Runs(
        np.array(n, dtype=np.float64), np.array(seconds, dtype=np.float64), sizes / reference, reference
    )


def read_csv(text: str, where: str = "runs") -> Runs:
    """Runs of a CSV with the columns n, seconds and perhaps size, in any order; other columns are passed over.

    Raises Invalid with every bad line at once.
    """
    columns, _ = _columns(text, where)
    return make(columns["n"], columns["seconds"], columns.get("size"))


def read_flavours(text: str, where: str = "runs") -> dict[str, Runs]:
    """Runs of a CSV by its column flavour (flavor, instance_type); "" is the only name where there is none.

    Sizes are relative to the largest of all. Raises Invalid as `read_csv`.
    """
    columns, flavours = _columns(text, where)
    if not flavours:
        return {"": make(columns["n"], columns["seconds"], columns.get("size"))}
    largest = max(columns.get("size", [1.0]))
    found = {}
    for name in dict.fromkeys(flavours):
        rows = [row for row, flavour in enumerate(flavours) if flavour == name]
        part = {key: [values[row] for row in rows] for key, values in columns.items()}
        runs = make(part["n"], part["seconds"], part.get("size"))
        found[name] = Runs(runs.n, runs.seconds, runs.size * (runs.reference / largest), largest)
    return found


def _columns(text: str, where: str) -> tuple[dict[str, list[float]], list[str]]:
    """(n, seconds and size where it is given, flavours or none), a value a run. Raises Invalid."""
    lines = csv.reader(io.StringIO(text))
    try:
        header = [name.strip().lower() for name in next(lines)]
    except (StopIteration, csv.Error):
        raise Invalid("there is nothing in it", where=where, mend="columns n,seconds[,size]") from None
    missing = [name for name in ("n", "seconds") if name not in header]
    if missing:
        raise Invalid(
            f"no column {' and no column '.join(missing)}",
            where=f"{where}:1",
            mend="a first line with the columns n,seconds[,size]",
        )
    wanted = [name for name in ("n", "seconds", "size") if name in header]
    by_flavour = next((header.index(name) for name in _FLAVOUR if name in header), -1)
    flavours: list[str] = []
    columns: dict[str, list[float]] = {name: [] for name in wanted}
    problems = []
    try:
        for row in lines:
            if not any(cell.strip() for cell in row) or row[0].lstrip().startswith("#"):
                continue
            if len(columns["n"]) >= _MOST_RUNS:
                raise Invalid(f"more than {_MOST_RUNS} runs", where=f"{where}:{lines.line_num}")
            if by_flavour >= 0:
                flavours.append(row[by_flavour].strip() if by_flavour < len(row) else "")
            for name in wanted:
                at = header.index(name)
                cell = row[at].strip() if at < len(row) else ""
                try:
                    columns[name].append(_positive(cell, at_least=1.0 if name == "n" else 0.0))
                except ValueError as error:
                    columns[name].append(1.0)
                    problems.append(Problem(f"{name}: {error}", f"{where}:{lines.line_num}"))
    except csv.Error as error:
        raise Invalid(str(error), where=f"{where}:{lines.line_num}") from None
    if problems:
        raise Invalid(
            problems[0].message,
            where=problems[0].where,
            problems=problems,
            mend="numbers: n of 1 or more, seconds and size above 0",
        )
    if not columns["n"]:
        raise Invalid("there are no runs in it", where=where, mend="one line a run below the header")
    return columns, flavours


def _positive(cell: str, at_least: float) -> float:
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{cell[:40]!r} is not a number") from None
    if not math.isfinite(value) or value < at_least or value <= 0:
        raise ValueError(f"{cell[:40]} is out of range")
    return value
