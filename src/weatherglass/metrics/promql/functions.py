"""The functions of PromQL, one table: what each takes, how it is computed, what it says.

The parser's type check, the evaluator, completion in the portal and the reference page read this table.
Kernels come in four shapes, told by `kind`:

- `range`: (Windows, *scalars (n_steps,)) → (values, present);
- `map`: (values (n, steps), *scalars) → values, the metric's name dropped;
- `labels`: see `labelled.py`; they change labels or need more than values, and take the evaluator's arguments;
- `scalar`: (*scalars) → (n_steps,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from weatherglass.metrics.promql import calendar_fields as cal
from weatherglass.metrics.promql import histograms, info, labelled, over_time
from weatherglass.metrics.promql.ast import ValueType
from weatherglass.metrics.promql.vector import larger, smaller
from weatherglass.metrics.types import FloatArray

SCALAR, VECTOR, MATRIX, STRING = ValueType.SCALAR, ValueType.VECTOR, ValueType.MATRIX, ValueType.STRING


class Function(NamedTuple):
    """One function. The last `optional` of `args` may be left out; `variadic` repeats the last without end."""

    args: tuple[ValueType, ...]
    kind: Literal["range", "map", "labels", "scalar"]
    kernel: Callable[..., Any]
    doc: str
    returns: ValueType = VECTOR
    optional: int = 0
    variadic: int = 0
    keeps_name: bool = False
    experimental: bool = False  # Prometheus 3 has it behind a feature flag


def _round(values: FloatArray, nearest: FloatArray) -> FloatArray:
    inverse = 1.0 / nearest  # as Prometheus does, so that 0.1 behaves
    return np.asarray(np.floor(values * inverse + 0.5) / inverse)


def _range(
    kernel: Callable[..., Any], doc: str, *extra: ValueType, first: bool = False, keeps_name: bool = False
) -> Function:
    args = (*extra, MATRIX) if first else (MATRIX, *extra)
    return Function(args, "range", kernel, doc, keeps_name=keeps_name)


def _map(kernel: Callable[..., Any], doc: str, *extra: ValueType, optional: int = 0) -> Function:
    return Function((VECTOR, *extra), "map", kernel, doc, optional=optional)


def _date(kernel: Callable[..., Any], doc: str) -> Function:
    return Function((VECTOR,), "labels", labelled.date(kernel), doc, optional=1)


FUNCTIONS: dict[str, Function] = {
    # over a range
    "rate": _range(over_time.rate, "Per-second increase of a counter over the range, resets mended, edges extrapolated."),
    "increase": _range(over_time.increase, "Increase of a counter over the range, resets mended, edges extrapolated."),
    "delta": _range(over_time.delta, "Difference of a gauge over the range, edges extrapolated."),
    "irate": _range(over_time.irate, "Per-second increase of a counter between the last two samples."),
    "idelta": _range(over_time.idelta, "Difference between the last two samples."),
    "deriv": _range(over_time.deriv, "Per-second slope of a gauge, by least squares."),
    "predict_linear": _range(over_time.predict_linear, "Value in so many seconds, on the least-squares line.", SCALAR),
    "changes": _range(over_time.changes, "How often the value changed within the range."),
    "resets": _range(over_time.resets, "How often a counter was reset within the range."),
    "sum_over_time": _range(over_time.sum_over_time, "Sum of the samples in the range."),
    "avg_over_time": _range(over_time.avg_over_time, "Mean of the samples in the range."),
    "min_over_time": _range(over_time.min_over_time, "Smallest sample in the range."),
    "max_over_time": _range(over_time.max_over_time, "Largest sample in the range."),
    "count_over_time": _range(over_time.count_over_time, "Number of samples in the range."),
    "last_over_time": _range(over_time.last_over_time, "Most recent sample in the range.", keeps_name=True),
    "first_over_time": _range(over_time.first_over_time, "Oldest sample in the range.", keeps_name=True),
    "ts_of_min_over_time": _range(over_time.ts_of_min_over_time, "When the last of the smallest samples in the range was taken, s since the epoch."),
    "ts_of_max_over_time": _range(over_time.ts_of_max_over_time, "When the last of the largest samples in the range was taken, s since the epoch."),
    "ts_of_first_over_time": _range(over_time.ts_of_first_over_time, "When the oldest sample in the range was taken, s since the epoch."),
    "ts_of_last_over_time": _range(over_time.ts_of_last_over_time, "When the most recent sample in the range was taken, s since the epoch."),
    "present_over_time": _range(over_time.present_over_time, "1 for any series with a sample in the range."),
    "stddev_over_time": _range(over_time.stddev_over_time, "Population standard deviation of the samples in the range."),
    "stdvar_over_time": _range(over_time.stdvar_over_time, "Population variance of the samples in the range."),
    "quantile_over_time": _range(over_time.quantile_over_time, "The φ-quantile of the samples in the range.", SCALAR, first=True),
    "mad_over_time": _range(over_time.mad_over_time, "Median absolute deviation of the samples in the range."),
    "double_exponential_smoothing": _range(over_time.double_exponential_smoothing, "Holt's linear smoothing: smoothing and trend factors in (0, 1).", SCALAR, SCALAR),
    "absent_over_time": Function((MATRIX,), "labels", labelled.absent_over_time, "1 where no series has a sample in the range."),
    # value by value
    "abs": _map(np.abs, "Absolute value."),
    "ceil": _map(np.ceil, "Next whole number up."),
    "floor": _map(np.floor, "Next whole number down."),
    "round": _map(_round, "Nearest multiple (default of 1), halves up.", SCALAR, optional=1),
    "exp": _map(np.exp, "e to the power of the value."),
    "ln": _map(np.log, "Natural logarithm."),
    "log2": _map(np.log2, "Binary logarithm."),
    "log10": _map(np.log10, "Decimal logarithm."),
    "sqrt": _map(np.sqrt, "Square root."),
    "sgn": _map(np.sign, "−1, 0 or 1 after the sign."),
    "clamp": Function((VECTOR, SCALAR, SCALAR), "labels", labelled.clamp, "Values held between min and max; nothing where min > max."),
    "clamp_min": _map(larger, "Values no lower than min.", SCALAR),
    "clamp_max": _map(smaller, "Values no higher than max.", SCALAR),
    "acos": _map(np.arccos, "Arc cosine, radians."),
    "acosh": _map(np.arccosh, "Inverse hyperbolic cosine."),
    "asin": _map(np.arcsin, "Arc sine, radians."),
    "asinh": _map(np.arcsinh, "Inverse hyperbolic sine."),
    "atan": _map(np.arctan, "Arc tangent, radians."),
    "atanh": _map(np.arctanh, "Inverse hyperbolic tangent."),
    "cos": _map(np.cos, "Cosine of radians."),
    "cosh": _map(np.cosh, "Hyperbolic cosine."),
    "sin": _map(np.sin, "Sine of radians."),
    "sinh": _map(np.sinh, "Hyperbolic sine."),
    "tan": _map(np.tan, "Tangent of radians."),
    "tanh": _map(np.tanh, "Hyperbolic tangent."),
    "deg": _map(np.degrees, "Radians as degrees."),
    "rad": _map(np.radians, "Degrees as radians."),
    # labels and whole vectors
    "absent": Function((VECTOR,), "labels", labelled.absent, "1 where the vector is empty, with the labels that = matchers give."),
    "scalar": Function((VECTOR,), "labels", labelled.scalar, "The value of a one-series vector; NaN else.", returns=SCALAR),
    "vector": Function((SCALAR,), "labels", labelled.vector, "A scalar as a vector without labels."),
    "timestamp": Function((VECTOR,), "labels", labelled.timestamp, "When each sample was taken, s since the epoch."),
    "sort": Function((VECTOR,), "labels", labelled.sort, "Ordered by value, ascending (instant queries)."),
    "sort_desc": Function((VECTOR,), "labels", labelled.sort_desc, "Ordered by value, descending (instant queries)."),
    "sort_by_label": Function((VECTOR, STRING), "labels", labelled.sort_by_label, "Ordered by the given labels, natural order.", variadic=1),
    "sort_by_label_desc": Function((VECTOR, STRING), "labels", labelled.sort_by_label_desc, "Ordered by the given labels, descending.", variadic=1),
    "label_replace": Function((VECTOR, STRING, STRING, STRING, STRING), "labels", labelled.label_replace, "Sets a label from another by a regular expression: (v, dst, replacement, src, regex)."),
    "label_join": Function((VECTOR, STRING, STRING, STRING), "labels", labelled.label_join, "Sets a label to others joined: (v, dst, separator, src…).", optional=1, variadic=1),
    "histogram_count": Function((VECTOR,), "labels", histograms.histogram_count, "Number of observations of native histograms."),
    "histogram_sum": Function((VECTOR,), "labels", histograms.histogram_sum, "Sum of observations of native histograms."),
    "histogram_avg": Function((VECTOR,), "labels", histograms.histogram_avg, "Mean of the observations of native histograms."),
    "histogram_stddev": Function((VECTOR,), "labels", histograms.histogram_stddev, "Estimated standard deviation of the observations of native histograms."),
    "histogram_stdvar": Function((VECTOR,), "labels", histograms.histogram_stdvar, "Estimated variance of the observations of native histograms."),
    "histogram_quantiles": Function((VECTOR, STRING, SCALAR), "labels", histograms.histogram_quantiles, "Several quantiles at once, each under a label of the name given.", variadic=1),
    "histogram_quantile": Function((SCALAR, VECTOR), "labels", histograms.histogram_quantile, "The φ-quantile of histograms, native or of classic buckets (label le)."),
    "histogram_fraction": Function((SCALAR, SCALAR, VECTOR), "labels", histograms.histogram_fraction, "The share of observations between lower and upper, of histograms native or classic."),
    "info": Function((VECTOR, VECTOR), "labels", info.info, "Adds the labels of matching info series (target_info): (v, {selector}).", optional=1),
    # time
    "start": Function((), "labels", labelled.bound_of("start"), "The query's start, s since the epoch.", returns=SCALAR),
    "end": Function((), "labels", labelled.bound_of("end"), "The query's end, s since the epoch.", returns=SCALAR),
    "range": Function((), "labels", labelled.bound_of("range"), "The query's range, s.", returns=SCALAR),
    "step": Function((), "labels", labelled.bound_of("step"), "The query's step, s.", returns=SCALAR),
    "time": Function((), "labels", labelled.time, "The step's instant, s since the epoch.", returns=SCALAR),
    "pi": Function((), "labels", labelled.pi, "π.", returns=SCALAR),
    "minute": _date(cal.minute, "Minute of the hour, UTC."),
    "hour": _date(cal.hour, "Hour of the day, UTC."),
    "day_of_week": _date(cal.day_of_week, "Day of the week, Sunday is 0, UTC."),
    "day_of_month": _date(cal.day_of_month, "Day of the month, UTC."),
    "day_of_year": _date(cal.day_of_year, "Day of the year, UTC."),
    "days_in_month": _date(cal.days_in_month, "Days of the month, UTC."),
    "month": _date(cal.month, "Month, January is 1, UTC."),
    "year": _date(cal.year, "Year, UTC."),
}  # fmt: skip

EXPERIMENTAL = (
    "double_exponential_smoothing", "end", "first_over_time", "histogram_quantiles", "info", "mad_over_time", "range",
    "sort_by_label", "sort_by_label_desc", "start", "step", "ts_of_first_over_time", "ts_of_last_over_time",
    "ts_of_max_over_time", "ts_of_min_over_time",
)  # fmt: skip
FUNCTIONS.update({name: FUNCTIONS[name]._replace(experimental=True) for name in EXPERIMENTAL})
