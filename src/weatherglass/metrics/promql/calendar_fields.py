"""Fields of the UTC calendar from seconds since the epoch, as arrays."""

from __future__ import annotations

import numpy as np

from weatherglass.metrics.types import BoolArray, FloatArray, Int64Array

_MOST_S = 2.0**53  # beyond, a float has no whole seconds; infinities and NaN are beyond too


def _whole(seconds: FloatArray) -> Int64Array:
    """Whole seconds towards zero, as Go cuts them; 0 where there is no such number (see `_keep`)."""
    return np.where(_possible(seconds), seconds, 0.0).astype(np.int64)


def _possible(seconds: FloatArray) -> BoolArray:
    return np.abs(seconds) < _MOST_S


def _keep(seconds: FloatArray, out: Int64Array) -> FloatArray:
    return np.where(_possible(seconds), out.astype(np.float64), np.nan)


def _since(seconds: FloatArray, unit: str) -> tuple[Int64Array, Int64Array]:
    """(whole units since the epoch, days into the unit)."""
    days = np.asarray(_whole(seconds) // 86400, "datetime64[D]")
    units = days.astype(f"datetime64[{unit}]")
    return units.astype(np.int64), (days - units.astype("datetime64[D]")).astype(np.int64)


def minute(s: FloatArray) -> FloatArray:
    return _keep(s, _whole(s) // 60 % 60)


def hour(s: FloatArray) -> FloatArray:
    return _keep(s, _whole(s) // 3600 % 24)


def day_of_week(s: FloatArray) -> FloatArray:
    return _keep(s, (_whole(s) // 86400 + 4) % 7)


def day_of_month(s: FloatArray) -> FloatArray:
    return _keep(s, _since(s, "M")[1] + 1)


def day_of_year(s: FloatArray) -> FloatArray:
    return _keep(s, _since(s, "Y")[1] + 1)


def days_in_month(s: FloatArray) -> FloatArray:
    first = np.asarray(_since(s, "M")[0], "datetime64[M]")
    return _keep(s, ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64))


def month(s: FloatArray) -> FloatArray:
    return _keep(s, _since(s, "M")[0] % 12 + 1)


def year(s: FloatArray) -> FloatArray:
    return _keep(s, _since(s, "Y")[0] + 1970)
