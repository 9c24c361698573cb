"""Relabelling as Prometheus has it: rules on label sets, before a scrape on targets, after it on samples. Pure.

Source: Prometheus' configuration manual, `relabel_config`; regexes are RE2's and anchored. Rules are data; what an
action does is a row of `ACTIONS`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import re2

from weatherglass.base.errors import Invalid

Target = dict[str, str]

_REFERENCE = re.compile(r"\$(?:(\d+)|([a-zA-Z_]\w*)|\{(\d+|[a-zA-Z_]\w*)\}|(\$))")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_FIELDS = {"source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Defaults are Prometheus' own; `compiled` is `regex`, anchored."""

    action: str
    source_labels: tuple[str, ...]
    separator: str
    regex: str
    compiled: object
    target_label: str
    replacement: str
    modulus: int

    def source(self, labels: Target) -> str:
        return self.separator.join(labels.get(name, "") for name in self.source_labels)

    def found(self, text: str) -> re.Match[str] | None:
        return self.compiled.match(text)  # type: ignore[attr-defined, no-any-return]


def rule(given: Mapping[str, object], where: str = "relabel_configs") -> Rule:
    """A rule of its configuration. Raises Invalid with every mistake's mend."""
    unknown = sorted(set(given) - _FIELDS)
    if unknown:
        raise Invalid(
            f"{unknown[0]} is no field of a rule", where=where, mend=f"one of {', '.join(sorted(_FIELDS))}"
        )
    action = str(given.get("action", "replace")).lower()
    if action not in ACTIONS:
        raise Invalid(
            f"{action!r} is no action", where=f"{where}.action", mend=f"one of {', '.join(ACTIONS)}"
        )
    sources = given.get("source_labels", ())
    names = (sources,) if isinstance(sources, str) else tuple(map(str, sources))  # type: ignore[call-overload]
    pattern = str(given.get("regex", "(.*)"))
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    try:
        compiled = re2.compile(f"^(?:{pattern})$", options)
    except re2.error as error:
        raise Invalid(f"{pattern[:80]!r} is no RE2 expression: {error}", where=f"{where}.regex") from None
    modulus = given.get("modulus", 0)
    if not isinstance(modulus, int) or isinstance(modulus, bool) or modulus < 0:
        raise Invalid(f"{modulus!r} is no modulus", where=f"{where}.modulus", mend="a whole number over 0")
    made = Rule(
        action,
        names,
        str(given.get("separator", ";")),
        pattern,
        compiled,
        str(given.get("target_label", "")),
        str(given.get("replacement", "$1")),
        modulus,
    )
    _complete(made, where)
    return made


def _complete(made: Rule, where: str) -> None:
    needs_target = made.action in ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal")
    if needs_target and not made.target_label:
        raise Invalid(f"{made.action} needs a target_label", where=f"{where}.target_label")
    if made.action == "hashmod" and not made.modulus:
        raise Invalid("hashmod needs a modulus", where=f"{where}.modulus", mend="a whole number over 0")


def _replace(one: Rule, labels: Target) -> bool:
    found = one.found(one.source(labels))
    if found is None:
        return True
    name = expand(one.target_label, found)
    if not _LABEL.fullmatch(name):
        return True
    value = expand(one.replacement, found)
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)
    return True


def expand(template: str, found: re.Match[str]) -> str:
    """`$1`, `${1}`, `${name}`, `$$` as Go's Regexp.Expand has them; what does not exist is empty."""

    def value(reference: re.Match[str]) -> str:
        number, name, braced, dollar = reference.groups()
        if dollar:
            return "$"
        key = number or name or braced
        try:
            return found.group(int(key) if key.isdigit() else key) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(value, template)


def _hashmod(one: Rule, labels: Target) -> bool:
    digest = hashlib.md5(one.source(labels).encode(), usedforsecurity=False).digest()
    labels[one.target_label] = str(int.from_bytes(digest[8:], "big") % one.modulus)
    return True


def _labelmap(one: Rule, labels: Target) -> bool:
    for name, value in sorted(labels.items()):
        found = one.found(name)
        if found is not None and (new := expand(one.replacement, found)):
            labels[new] = value
    return True


def _case(change: Callable[[str], str]) -> Callable[[Rule, Target], bool]:
    def run(one: Rule, labels: Target) -> bool:
        labels[one.target_label] = change(one.source(labels))
        return True

    return run


def _without(kept: bool) -> Callable[[Rule, Target], bool]:
    def run(one: Rule, labels: Target) -> bool:
        for name in [name for name in labels if (one.found(name) is None) is kept]:
            del labels[name]
        return True

    return run


ACTIONS: dict[str, Callable[[Rule, Target], bool]] = {
    "replace": _replace,
    "keep": lambda one, labels: one.found(one.source(labels)) is not None,
    "drop": lambda one, labels: one.found(one.source(labels)) is None,
    "keepequal": lambda one, labels: labels.get(one.target_label, "") == one.source(labels),
    "dropequal": lambda one, labels: labels.get(one.target_label, "") != one.source(labels),
    "hashmod": _hashmod,
    "labelmap": _labelmap,
    "labeldrop": _without(kept=False),
    "labelkeep": _without(kept=True),
    "lowercase": _case(str.lower),
    "uppercase": _case(str.upper),
}
"""What each action does to the labels in place; False drops the target or the sample."""


def relabel(labels: Mapping[str, str], rules: Iterable[Rule]) -> Target | None:
    """The labels after all rules, in order, without empty ones; None where a rule dropped them."""
    result = dict(labels)
    for one in rules:
        if not ACTIONS[one.action](one, result):
            return None
    return {name: value for name, value in result.items() if value}
