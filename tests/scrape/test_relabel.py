"""Relabelling: each action as Prometheus' manual has it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherglass.base.errors import Invalid
from weatherglass.metrics.scrape.relabel import relabel, rule

BASE = {"job": "node", "__address__": "a.example:9100", "__meta_dns_name": "x", "rack": "R1"}


@pytest.mark.parametrize(
    ("given_rule", "changed"),
    [
        (
            {"source_labels": ["__address__"], "regex": "([^:]+):.*", "target_label": "host"},
            {"host": "a.example"},
        ),
        (
            {
                "source_labels": ["job", "rack"],
                "regex": "(.*);(.*)",
                "target_label": "${2}_x",
                "replacement": "$1-$2-$$",
            },
            {"R1_x": "node-R1-$"},
        ),
        ({"source_labels": ["job"], "regex": "nod", "target_label": "never"}, {}),
        ({"source_labels": ["none"], "target_label": "job", "replacement": ""}, {"job": None}),
        ({"source_labels": ["job"], "regex": "no.*", "action": "keep"}, {}),
        ({"source_labels": ["job"], "regex": "other", "action": "drop"}, {}),
        ({"regex": "__meta_(.+)", "action": "labelmap"}, {"dns_name": "x"}),
        ({"regex": "__meta_.*|rack", "action": "labeldrop"}, {"__meta_dns_name": None, "rack": None}),
        ({"regex": "job|__address__", "action": "labelkeep"}, {"__meta_dns_name": None, "rack": None}),
        ({"source_labels": ["rack"], "target_label": "rack", "action": "lowercase"}, {"rack": "r1"}),
        ({"source_labels": ["job"], "target_label": "job", "action": "Uppercase"}, {"job": "NODE"}),
        ({"source_labels": ["job"], "target_label": "h", "modulus": 7, "action": "hashmod"}, {"h": "6"}),
        ({"source_labels": ["job"], "target_label": "job", "action": "keepequal"}, {}),
    ],
)
def test_an_action(given_rule: dict[str, Any], changed: dict[str, str | None]) -> None:
    wanted = {name: value for name, value in {**BASE, **changed}.items() if value is not None}
    assert relabel(BASE, [rule(given_rule)]) == wanted


@pytest.mark.parametrize(
    "given_rule",
    [
        {"source_labels": ["job"], "regex": "other", "action": "keep"},
        {"source_labels": ["job"], "regex": "node", "action": "drop"},
        {"source_labels": ["job"], "target_label": "rack", "action": "keepequal"},
        {"source_labels": ["job"], "target_label": "job", "action": "dropequal"},
    ],
)
def test_what_is_dropped(given_rule: dict[str, Any]) -> None:
    assert relabel(BASE, [rule(given_rule)]) is None


@pytest.mark.parametrize(
    ("given_rule", "words"),
    [
        ({"action": "rename"}, "no action"),
        ({"regexp": "x"}, "no field"),
        ({"regex": "("}, "no RE2"),
        ({"source_labels": ["a"]}, "target_label"),
        ({"action": "hashmod", "target_label": "a"}, "modulus"),
    ],
)
def test_a_bad_rule_is_refused(given_rule: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        rule(given_rule)


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=12), max_size=5), st.text(max_size=12))
def test_any_labels_and_replacement_are_borne(labels: dict[str, str], replacement: str) -> None:
    given_rule = {
        "source_labels": sorted(labels),
        "regex": "(.)(.*)",
        "target_label": "out",
        "replacement": replacement,
    }
    result = relabel(labels, [rule(given_rule)])
    assert result is not None and "" not in result.values()
