"""Where Prometheus 3 means to differ from 2.42, and how a comparison with 2.42 is made nonetheless.

docs/promql.md shows TABLE to users; `test_docs` holds the two together.
"""

from contextlib import contextmanager
from unittest import mock

import numpy as np

from weatherglass.metrics.promql import aggregate, over_time

TABLE = (
    ("Ranges and the look-back are left-open, (t − range, t].", "samples and sub-query steps are kept off the windows' edges"),
    ("`rate`, `increase`, `delta`: the half interval at a gap is chosen before, not after, a counter's zero.", "rule replaced"),
    ("`stddev` and `stdvar` of one infinite or NaN value are NaN, not 0.", "rule replaced"),
    ("`atan2` drops the metric's name as all arithmetic does.", "the name is dropped from both answers"),
    ("`predict_linear(x[…] @ t)` over a range sees the same samples at every step (2.42 lost some).", "not drawn"),
    ("`holt_winters` is named `double_exponential_smoothing`.", "renamed on the way"),
    ("A number of seconds stands for a duration, and a duration for a number: `x[300]`, `x * 5m`.", "a refusal of 2.42's is let pass"),
    ("Label names are any UTF-8, quoted: `{\"a.metric\", \"my.label\"=\"x\"}`, also as `label_replace`'s target.", "not drawn"),
    ("`count_values by` three labels keeps them at every step (2.42 lost them after the first).", "two labels are drawn"),
    ("`cosh` and `sinh` reach to 710.47, as the numbers do (Go's overflow at 709.78).", "drawn below 700"),
    ("Series that a range function or `-` brings to one label set are joined where they never meet.", "a refusal of 2.42's is let pass"),
)  # fmt: skip


def _lone_is_zero(fold):
    return lambda g: np.where(aggregate.AGGREGATORS["count"].fold(g) == 1, 0.0, fold(g))


@contextmanager
def as_in_2_42():
    """The evaluator with the rules of 2.42 where 3.x changed one."""
    table = aggregate.AGGREGATORS
    lone = {op: table[op]._replace(fold=_lone_is_zero(table[op].fold)) for op in ("stddev", "stdvar")}
    with mock.patch.object(over_time, "ZERO_FIRST", True), mock.patch.dict(table, lone):
        yield


def let_pass(mine, theirs):
    """A refusal of the peer's that 3.x no longer makes."""
    return isinstance(mine, dict) and isinstance(theirs, str) and "same labelset" in theirs


def for_2_42(query):
    return query.replace("double_exponential_smoothing", "holt_winters")


def syntax_of_3(refusal):
    """Whether a refusal of the peer's parser is of what 3.x takes: numbers for durations and back, quoted names."""
    return "duration" in refusal or ("unexpected string" in refusal and "label" in refusal)
