"""Names of indices: what may be one, and which of them an expression means. Pure.

An expression is a list with wildcards, exclusions and date math: `logs-*,-logs-old`, `_all`,
`<logs-{now/d}>` (Elasticsearch, "Multi-target syntax").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from fnmatch import translate
from functools import lru_cache

from weatherglass.gateway.elastic import dates
from weatherglass.gateway.elastic.faults import Fault, no_index

_FORBIDDEN = frozenset('\\/*?"<>| ,#')
_MATH = re.compile(r"\{((?:[^{}]|\{[^{}]*\})*)\}")


def check(name: str) -> str:
    """The name itself, when an index may have it. Raises Fault (invalid_index_name_exception)."""
    wrong = ""
    if not name or len(name.encode("utf-8", "replace")) > 255:
        wrong = "index name is too long, or empty" if name else "index name is empty"
    elif _FORBIDDEN & set(name):
        wrong = "must not contain the following characters [' ','\"','*',',','/','<','>','?','\\','|']"
    elif name[0] in "_-+":
        wrong = "must not start with '_', '-', or '+'"
    elif name in (".", ".."):
        wrong = "must not be '.' or '..'"
    elif name != name.lower():
        wrong = "must be lowercase"
    elif ":" in name or not name.isprintable():
        wrong = "must not contain ':'"
    if wrong:
        raise Fault(
            "invalid_index_name_exception",
            f"Invalid index name [{name[:80]}], {wrong}",
            more={"index_uuid": "_na_", "index": name[:255]},
        )
    return name


@lru_cache(512)
def pattern(glob: str) -> re.Pattern[str]:
    """`*` is any text; nothing else means anything."""
    return re.compile(translate(re.sub(r"[\[\]?]", lambda found: f"[{found[0]}]", glob)))


def with_dates(expression: str, now_ms: int) -> str:
    """`<logs-{now/d{yyyy.MM}}>` as the name it means. Raises Fault."""
    if not (expression.startswith("<") and expression.endswith(">")):
        return expression

    def replaced(found: re.Match[str]) -> str:
        math, _, rest = found[1].partition("{")
        format, _, tz = rest.rstrip("}").partition("|")
        where = dates.zone(tz) if tz else UTC
        return dates.write(dates.instant(math, now_ms, tz=where), format or "uuuu.MM.dd", where)

    return _MATH.sub(replaced, expression[1:-1])


class Lenience:
    """What a request says of names that are not there."""

    def __init__(self, params: Mapping[str, str], *, by_default: bool = False) -> None:
        self.unavailable = params.get("ignore_unavailable", str(by_default).lower()) in ("true", "")
        self.none = params.get("allow_no_indices", "true") != "false"
        self.hidden = "hidden" in params.get("expand_wildcards", "") or "all" in params.get(
            "expand_wildcards", ""
        )
        self.wildcards = params.get("expand_wildcards", "open") != "none"


def resolve(
    expression: str,
    known: Iterable[str],
    aliases: Mapping[str, Sequence[str]],
    lenience: Lenience,
    now_ms: int,
) -> list[str]:
    """The indices that an expression means, in order, each once. Raises Fault (404) for one that is not there."""
    names = sorted(known)
    parts = [with_dates(part.strip(), now_ms) for part in expression.split(",")] if expression else ["_all"]
    found: dict[str, None] = {}
    wild = False
    for number, part in enumerate(parts):
        if part in ("_all", "*", ""):
            part = "*"
        if "*" in part:
            wild = True
            out = part.startswith("-") and number > 0
            matches = pattern(part[1:] if out else part).match
            chosen = [
                name
                for name in names
                if matches(name) and (out or lenience.hidden or not name.startswith(".") or part[0] == ".")
            ]
            chosen += [one for alias in aliases if matches(alias) for one in aliases[alias]]
            for name in chosen if lenience.wildcards or out else ():
                found.pop(name, None) if out else found.setdefault(name)
            if not chosen and not out and not lenience.none:
                raise no_index(part)
        elif part.startswith("-") and wild:
            for name in aliases.get(part[1:], [part[1:]]):
                found.pop(name, None)
        elif part in aliases:
            found.update(dict.fromkeys(aliases[part]))
        elif part in names:
            found[part] = None
        elif not lenience.unavailable:
            raise no_index(part)
    if not found and not lenience.none:
        raise no_index(expression or "_all")
    return list(found)
