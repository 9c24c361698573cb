"""Grafana's units as ours: the name of a base unit, and what brings a value to it. One table."""

from __future__ import annotations

UNITS: dict[str, tuple[str, float]] = {
    "": ("", 1), "none": ("", 1), "short": ("", 1), "string": ("", 1), "locale": ("", 1),
    "percent": ("share", 0.01), "percentunit": ("share", 1),
    "ns": ("s", 1e-9), "µs": ("s", 1e-6), "us": ("s", 1e-6), "ms": ("s", 1e-3), "s": ("s", 1), "m": ("s", 60),
    "h": ("s", 3600), "d": ("s", 86400), "dtdurations": ("s", 1), "dtdurationms": ("s", 1e-3), "clocks": ("s", 1),
    "bits": ("B", 1 / 8), "decbits": ("B", 1 / 8), "bytes": ("B", 1), "decbytes": ("B", 1),
    "kbytes": ("B", 1024), "deckbytes": ("B", 1e3), "mbytes": ("B", 1 << 20), "decmbytes": ("B", 1e6),
    "gbytes": ("B", 1 << 30), "decgbytes": ("B", 1e9), "tbytes": ("B", 1 << 40), "dectbytes": ("B", 1e12),
    "Bps": ("B/s", 1), "binBps": ("B/s", 1), "bps": ("bit/s", 1), "binbps": ("bit/s", 1),
    "KBs": ("B/s", 1e3), "MBs": ("B/s", 1e6), "GBs": ("B/s", 1e9), "Kbits": ("bit/s", 1e3), "Mbits": ("bit/s", 1e6),
    "pps": ("packets/s", 1), "ops": ("ops/s", 1), "reqps": ("req/s", 1), "rps": ("reads/s", 1), "wps": ("writes/s", 1),
    "iops": ("io/s", 1), "cps": ("/s", 1), "eps": ("events/s", 1), "mps": ("msg/s", 1),
    "opm": ("ops/min", 1), "rpm": ("reads/min", 1), "wpm": ("writes/min", 1), "cpm": ("/min", 1),
    "hertz": ("Hz", 1), "rotrpm": ("rpm", 1), "celsius": ("°C", 1), "fahrenheit": ("°F", 1), "kelvin": ("K", 1),
    "watt": ("W", 1), "kwatt": ("W", 1e3), "volt": ("V", 1), "amp": ("A", 1), "joule": ("J", 1), "kwatth": ("kWh", 1),
    "bool": ("", 1), "bool_yes_no": ("", 1), "bool_on_off": ("", 1), "humidity": ("share", 0.01),
    "currencyUSD": ("$", 1), "currencyEUR": ("€", 1),
}  # fmt: skip


def unit(name: str) -> tuple[str, float, bool]:
    """(our unit, factor, whether it is known). What is not known is shown by its own name."""
    found = UNITS.get(name)
    if found is not None:
        return found[0], float(found[1]), True
    custom, _, text = name.partition(":")
    if custom == "suffix":
        return text.strip(), 1.0, True
    return name, 1.0, False
