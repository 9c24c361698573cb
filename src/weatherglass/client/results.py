"""What the client hands back: series with their instants and values, events; and both as frames and tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import pyarrow

NAME = "__name__"


@dataclass(frozen=True, slots=True)
class Series:
    """One series: `times_ms` (ms since the epoch, ascending) in step with `values`; native histograms as they came,
    (ms, JSON)."""

    labels: Mapping[str, str]
    times_ms: Sequence[int]
    values: Sequence[float]
    histograms: Sequence[tuple[int, Mapping[str, Any]]] = ()

    @property
    def name(self) -> str:
        return self.labels.get(NAME, "")

    def __str__(self) -> str:
        inner = ",".join(f'{k}="{_quoted(v)}"' for k, v in sorted(self.labels.items()) if k != NAME)
        return self.name + (f"{{{inner}}}" if inner or not self.name else "")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@dataclass(frozen=True, slots=True)
class Result:
    """An answer in PromQL's types. An instant vector's series have one sample each; a scalar is one without labels."""

    type: str
    series: Sequence[Series]
    warnings: Sequence[str] = ()
    infos: Sequence[str] = ()
    text: str = ""  # of a string

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    def __len__(self) -> int:
        return len(self.series)

    @property
    def value(self) -> float:
        """The one value of a scalar, or of a vector with one series. Raises ValueError else."""
        if len(self.series) != 1 or len(self.series[0].values) != 1:
            raise ValueError(f"{len(self.series)} series are not one value")
        return self.series[0].values[0]

    def label_names(self) -> list[str]:
        """All labels of all series; the name first."""
        found = {name for one in self.series for name in one.labels}
        return sorted(found, key=lambda name: (name != NAME, name))

    def to_pandas(self, form: str = "wide") -> pandas.DataFrame:
        """`wide`: a row an instant (UTC), a column a series, its labels as the column's levels. `long`: a row a
        sample, with columns `time`, the labels, `value`. Raises ValueError for another form."""
        import pandas as pd

        if form == "long":
            frame: pd.DataFrame = self.to_arrow().to_pandas()
            return frame
        if form != "wide":
            raise ValueError(f"{form!r} is neither wide nor long")
        names = self.label_names()
        columns = [
            pd.Series(
                one.values, index=pd.to_datetime(list(one.times_ms), unit="ms", utc=True), dtype="float64"
            )
            for one in self.series
        ]
        if not columns:
            return pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC", name="time"))
        frame = pd.concat(columns, axis=1).sort_index()
        frame.index.name = "time"
        if len(names) > 1:
            keys = [tuple(one.labels.get(name, "") for name in names) for one in self.series]
            frame.columns = pd.MultiIndex.from_tuples(keys, names=names)
        else:
            only = names[0] if names else None
            frame.columns = pd.Index(
                [one.labels.get(only, "") if only else "value" for one in self.series], name=only
            )
        return frame

    def to_arrow(self) -> pyarrow.Table:
        """A row a sample: `time` (ms, UTC), the labels (dictionaries), `value`. A label called time or value is
        `label_time`, `label_value`."""
        import pyarrow as pa

        lengths = [len(one.values) for one in self.series]
        names = self.label_names()
        columns: dict[str, Any] = {
            "time": pa.array([t for one in self.series for t in one.times_ms], pa.timestamp("ms", "UTC"))
        }
        for name in names:
            words = sorted({one.labels.get(name, "") for one in self.series})
            place = {word: i for i, word in enumerate(words)}
            codes = [
                place[one.labels.get(name, "")]
                for one, n in zip(self.series, lengths, strict=True)
                for _ in range(n)
            ]
            shown = f"label_{name}" if name in ("time", "value") else name
            columns[shown] = pa.DictionaryArray.from_arrays(
                pa.array(codes, pa.int32()), pa.array(words, pa.string())
            )
        columns["value"] = pa.array([v for one in self.series for v in one.values], pa.float64())
        return pa.table(columns)


@dataclass(frozen=True, slots=True)
class Events:
    """Log events, newest first, as the server tells them; `next` is given as `before` for those that follow."""

    events: Sequence[Mapping[str, Any]] = field(default_factory=list)
    next: str = ""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def to_pandas(self) -> pandas.DataFrame:
        """A row an event: `time` (UTC), `level`, `logger`, `message`, and a column for each label."""
        import pandas as pd

        rows = [
            {
                "time": one.get("time_ns", 0), "level": one.get("level", ""), "logger": one.get("logger", ""),
                "message": one.get("message", ""), **_pairs(one.get("labels")),
            }
            for one in self.events
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=None if rows else ["time", "level", "logger", "message"])
        frame["time"] = pd.to_datetime(frame["time"], unit="ns", utc=True)
        return frame


def _pairs(labels: Any) -> dict[str, str]:
    """Labels as a mapping, whichever way they were told."""
    return dict(labels.items() if isinstance(labels, Mapping) else (tuple(pair) for pair in labels or ()))


def read(data: Mapping[str, Any], warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Result:
    """The `data` of Prometheus' API as a Result."""
    kind, result = str(data["resultType"]), data["result"]
    if kind == "string":
        return Result(kind, [], warnings, infos, str(result[1]))
    if kind == "scalar":
        return Result(kind, [Series({}, [_ms(result[0])], [float(result[1])])], warnings, infos)
    return Result(kind, [_series(one) for one in result], warnings, infos)


def _series(one: Mapping[str, Any]) -> Series:
    pairs = one.get("values") or ([one["value"]] if "value" in one else [])
    cells = one.get("histograms") or ([one["histogram"]] if "histogram" in one else [])
    return Series(
        dict(one["metric"]),
        [_ms(t) for t, _ in pairs],
        [float(v) for _, v in pairs],
        [(_ms(t), cell) for t, cell in cells],
    )


def _ms(seconds: float) -> int:
    return round(float(seconds) * 1000)


def joined(parts: Sequence[Result]) -> Result:
    """Answers to one question over spans that follow each other, as one."""
    if len(parts) == 1:
        return parts[0]
    order: dict[tuple[tuple[str, str], ...], list[Series]] = {}
    for part in parts:
        for one in part.series:
            order.setdefault(tuple(sorted(one.labels.items())), []).append(one)
    series = [
        Series(
            many[0].labels,
            [t for one in many for t in one.times_ms],
            [v for one in many for v in one.values],
            [cell for one in many for cell in one.histograms],
        )
        for many in order.values()
    ]
    return Result(
        parts[0].type,
        series,
        list(dict.fromkeys(text for part in parts for text in part.warnings)),
        list(dict.fromkeys(text for part in parts for text in part.infos)),
    )
