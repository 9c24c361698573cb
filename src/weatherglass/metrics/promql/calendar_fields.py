"""Fields of the UTC calendar from seconds since the epoch, as arrays."""

from __future__ import annotations

import numpy as np

from weatherglass.metrics.types import FloatArray


def _at(seconds: FloatArray, unit: str) -> FloatArray:
    """Whole units since the epoch, floored; NaN stays NaN by `_keep`."""
    whole = np.where(np.isfinite(seconds), seconds, 0.0)
    return np.floor(whole).astype("int64").astype("datetime64[s]").astype(f"datetime64[{unit}]")  # type: ignore[no-any-return]


def _keep(seconds: FloatArray, out: FloatArray) -> FloatArray:
    return np.where(np.isfinite(seconds), out.astype(np.float64), np.nan)


def minute(s: FloatArray) -> FloatArray:
    return _keep(s, np.floor(s / 60) % 60)


def hour(s: FloatArray) -> FloatArray:
    return _keep(s, np.floor(s / 3600) % 24)


def day_of_week(s: FloatArray) -> FloatArray:
    return _keep(s, (np.floor(s / 86400) + 4) % 7)


def day_of_month(s: FloatArray) -> FloatArray:
    return _keep(s, (_at(s, "D") - _at(s, "M").astype("datetime64[D]")).astype(np.float64) + 1)


def day_of_year(s: FloatArray) -> FloatArray:
    return _keep(s, (_at(s, "D") - _at(s, "Y").astype("datetime64[D]")).astype(np.float64) + 1)


def days_in_month(s: FloatArray) -> FloatArray:
    month = _at(s, "M")
    return _keep(s, ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.float64))


def month(s: FloatArray) -> FloatArray:
    return _keep(s, _at(s, "M").astype(np.int64) % 12 + 1)


def year(s: FloatArray) -> FloatArray:
    return _keep(s, _at(s, "Y").astype(np.int64) + 1970)
