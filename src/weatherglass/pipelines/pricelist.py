"""A price table as people write it (YAML or JSON) → `Prices`. Pure; every mistake with its place.

Flavours are a mapping by name or a list with `name`; a price is money an hour under any of `PRICE_KEYS`, or with its
span (`0.10/h`, `2.40/day`). Numbers may carry their units (`4GiB`, `1h`, `30MB/s`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from weatherglass.base.errors import Invalid, Problem
from weatherglass.base.units import parse_duration, parse_size
from weatherglass.pipelines.price import Flavour, Prices

PRICE_KEYS = (
    "price", "price_per_hour", "hourly", "per_hour", "cost_per_hour", "usd_per_hour", "eur_per_hour", "on_demand",
)  # fmt: skip
_NAMES = {
    "vcpus": ("vcpus", "vcpu", "cpus", "cores"),
    "memory": ("memory", "memory_gb", "ram", "ram_gb", "mem_gb"),
    "speed": ("speed", "speedup", "relative_speed"),
    "most": ("most", "limit", "max", "max_instances", "quota"),
    "watts": ("watts", "power_w", "power"),
}
_SPAN_H = {
    "s": 1 / 3600,
    "m": 1 / 60,
    "min": 1 / 60,
    "h": 1.0,
    "hour": 1.0,
    "d": 24.0,
    "day": 24.0,
    "month": 730.0,
}
_MONEY = re.compile(
    r"\s*[^\d\s.+-]*\s*(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*([A-Za-z€$£]*)\s*(?:/\s*([a-z]+))?\s*"
)
_TOP = {
    "currency",
    "flavours",
    "flavors",
    "instances",
    "billing",
    "boot",
    "stage",
    "energy",
    "on_site",
    "needs",
    "transfer",
}


def read(text: str, where: str = "prices") -> Prices:
    """The table of a YAML or JSON text. Raises Invalid with all problems."""
    try:
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid(f"it is not YAML: {error}".splitlines()[0], where=where) from None
    if not isinstance(found, Mapping):
        raise Invalid("a table of prices is a mapping", where=where, mend="flavours: {small: {price: 0.10}}")
    return _Table(where).table(found)


class _Table:
    """Reads one table and gathers what is wrong with it."""

    def __init__(self, where: str) -> None:
        self.where, self.problems = where, list[Problem]()

    def bad(self, path: str, message: str, mend: str = "") -> None:
        self.problems.append(Problem(message, f"{self.where}.{path}", mend))

    def number(self, path: str, value: Any, parse: Callable[[str], float], least: float = 0.0) -> float:
        if isinstance(value, bool) or value is None:
            value = str(value)
        try:
            result = float(value) if isinstance(value, (int, float)) else parse(str(value))
        except (ValueError, OverflowError) as error:
            self.bad(path, str(error))
            return least
        if not math.isfinite(result) or result < least:
            self.bad(path, f"{value} is less than {least:g}, or no number")
            return least
        return result

    def table(self, found: Mapping[Any, Any]) -> Prices:
        for name in found:
            if name not in _TOP:
                self.bad(str(name), f"{name} is not known here", f"one of {', '.join(sorted(_TOP))}")
        flavours = self.flavours(
            next((found[name] for name in ("flavours", "flavors", "instances") if name in found), None)
        )
        billing, stage = self.part(found, "billing"), self.part(found, "stage")
        energy, needs = self.part(found, "energy"), self.part(found, "needs")
        prices = Prices(
            flavours=flavours,
            currency=str(found.get("currency", "EUR")),
            unit_s=self.number("billing.unit", billing.get("unit", 1), _seconds) or 1.0,
            minimum_s=self.number("billing.minimum", billing.get("minimum", 0), _seconds),
            boot_s=self.number("boot", found.get("boot", 0), _seconds),
            stage_bytes=self.number("stage.bytes", stage.get("bytes", 0), _bytes),
            stage_rate=self.number("stage.rate", stage.get("rate", 0), _rate),
            shared=stage.get("per", "instance") == "run" or bool(stage.get("shared", False)),
            transfer=self.number("transfer", found.get("transfer", 0), _per_byte),
            pue=self.number("energy.pue", energy.get("pue", 1.0), float, 1.0),
            carbon=self.number("energy.carbon", energy.get("carbon", 0), _grams),
            on_site=str(found.get("on_site", "")),
            needs_memory=self.number("needs.memory", needs.get("memory", 0), _bytes),
        )
        if prices.on_site and prices.on_site not in flavours:
            self.bad("on_site", f"there is no flavour {prices.on_site}", f"one of {', '.join(flavours)}")
        if prices.stage_bytes and not prices.stage_rate:
            self.bad("stage.rate", "bytes to stage without a rate", "rate: 30MB/s")
        if self.problems:
            first = self.problems[0]
            raise Invalid(first.message, where=first.where, mend=first.mend, problems=self.problems)
        return prices

    def part(self, found: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
        value = found.get(name) or {}
        if not isinstance(value, Mapping):
            self.bad(name, "a mapping belongs here")
            return {}
        return value

    def flavours(self, found: Any) -> dict[str, Flavour]:
        if isinstance(found, list):
            named = [(str(one.get("name", "")), one) for one in found if isinstance(one, Mapping)]
        elif isinstance(found, Mapping):
            # A bare number is a price: {small: 0.10}.
            named = [
                (str(name), one if isinstance(one, Mapping) else {"price": one})
                for name, one in found.items()
            ]
        else:
            named = []
        if not named:
            self.bad("flavours", "there are no flavours", "flavours: {small: {price: 0.10}}")
        flavours = {}
        for name, given in named:
            if not name or name in flavours:
                self.bad("flavours", f"a flavour without a name, or a second {name}", "one name each")
                continue
            flavours[name] = self.flavour(name, given)
        return flavours

    def flavour(self, name: str, given: Mapping[Any, Any]) -> Flavour:
        path = f"flavours.{name}"
        keys = [key for key in PRICE_KEYS if key in given]
        if len(keys) != 1:
            self.bad(
                path, "one price an hour is needed", f"price: 0.10, or one of {', '.join(PRICE_KEYS[1:])}"
            )
        price = self.number(f"{path}.{keys[0]}", given[keys[0]], money_an_hour) if keys else 0.0
        values: dict[str, float] = {}
        known = {*PRICE_KEYS, "name", *(key for names in _NAMES.values() for key in names)}
        for key in given:
            if key not in known:
                self.bad(
                    f"{path}.{key}", f"{key} is no field of a flavour", f"one of {', '.join(sorted(known))}"
                )
        for field, names in _NAMES.items():
            for key in names:
                if key in given:
                    scale = 2**30 if field == "memory" and isinstance(given[key], (int, float)) else 1
                    parse = _bytes if field == "memory" else float
                    values[field] = self.number(f"{path}.{key}", given[key], parse) * scale
        return Flavour(
            name,
            price,
            values.get("vcpus", 1.0),
            values.get("memory", 0.0),
            values.get("speed") or 1.0,
            int(values.get("most", 0)),
            values.get("watts", 0.0),
        )


def money_an_hour(text: str) -> float:
    """Money an hour of `0.10`, `€0.10/h`, `2.40 EUR/day`. Raises ValueError."""
    form = _MONEY.fullmatch(text)
    if not form or (form[3] or "h") not in _SPAN_H:
        raise ValueError(f"{text[:40]!r} is not a price; write one like 0.10, 0.10/h or 2.40/day")
    return float(form[1]) / _SPAN_H[form[3] or "h"]


def _seconds(text: str) -> float:
    words = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "per-second": 1.0, "per-hour": 3600.0}
    return words[text] if text in words else parse_duration(text)


def _bytes(text: str) -> float:
    return float(parse_size(text))


def _rate(text: str) -> float:
    return float(parse_size(text.removesuffix("/s")))


def _per_byte(text: str) -> float:
    amount, slash, per = text.partition("/")
    if not slash:
        raise ValueError(f"{text[:40]!r} is not a price of bytes; write one like 0.05/GB")
    form = _MONEY.fullmatch(amount)
    if not form:
        raise ValueError(f"{amount[:40]!r} is not money")
    return float(form[1]) / parse_size(f"1{per.strip()}")


def _grams(text: str) -> float:
    return float(text.split("/")[0].strip().removesuffix("g").strip())
