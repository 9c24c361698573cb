"""Annotations: what is answered, but may not be what was meant. The texts are Prometheus' own (util/annotations).

One line a text; `{}` is filled in. Each is told once, with the position of what it is about.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from weatherglass.metrics.promql.lexer import position

MAX_ANNOTATIONS = 20

WARNINGS = {
    "quantile": "quantile value should be between 0 and 1, got {}",
    "ratio": "ratio value should be between -1 and 1, got {}, capping to {}",
    "bucket label": 'bucket label "le" is missing or has a malformed value of {}{for_name}',
    "mixed range": "encountered a mix of histograms and floats for metric name {}",
    "mixed aggregation": "encountered a mix of histograms and floats for aggregation",
    "mixed classic": "vector contains a mix of classic and native histograms{for_name}",
    "not a counter": "this native histogram metric is not a counter: {}",
    "not a gauge": "this native histogram metric is not a gauge: {}",
    "mixed schemas": "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
    "bucket layout": "incompatible bucket layout encountered for binary operator {}",
    "reset collision": "conflicting counter resets during histogram {}",
}
INFOS = {
    "no counter": "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
    "monotonicity": "input to {} needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile){for_name}",
    "binary types": 'incompatible sample types encountered for binary operator "{1}": {0} {1} {2}',
    "ignored in aggregation": "ignored histogram in {} aggregation",
    "ignored in range": "ignored histograms in a range containing both floats and histograms for metric name {}",
    "quantile NaN": "input to histogram_quantile has NaN observations, result is NaN{for_name}",
    "quantile skewed": "input to histogram_quantile has NaN observations, result is skewed higher{for_name}",
    "fraction NaN": "input to histogram_fraction has NaN observations, which are excluded from all fractions{for_name}",
    "bounds reconciled": "mismatched custom buckets were reconciled during {}",
}


@dataclass
class Notes:
    """The annotations of one query; `source` is its text."""

    source: str = ""
    warnings: list[str] = field(default_factory=list)
    infos: list[str] = field(default_factory=list)

    def warn(self, start: int, kind: str, *words: object, name: str = "") -> None:
        """Told of what begins at `start`; `name` is the metric's, quoted, where there is one."""
        self._say(self.warnings, "warning", WARNINGS[kind], start, words, name)

    def inform(self, start: int, kind: str, *words: object, name: str = "") -> None:
        self._say(self.infos, "info", INFOS[kind], start, words, name)

    def _say(
        self, told: list[str], level: str, text: str, start: int, words: tuple[object, ...], name: str
    ) -> None:
        said = text.format(*words, for_name=f" for metric name {name}" if name else "")
        line = f"PromQL {level}: {said} ({position(self.source, start)})"
        if line not in told and len(told) < MAX_ANNOTATIONS:
            told.append(line)
