"""One scrape job: its configuration in Prometheus' own words, and what relabelling makes of a target. Pure.

Source: Prometheus' configuration manual, `scrape_config`. A field that is not spoken here is refused by name, never
passed over: a job that silently loses its authentication or a limit is worse than one that does not start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from weatherglass.base.errors import Invalid, Problem
from weatherglass.base.units import parse_duration, parse_size
from weatherglass.metrics.scrape import relabel as rules
from weatherglass.metrics.scrape.discovery.groups import Discovery, Labels
from weatherglass.metrics.scrape.discovery.kinds import KINDS, make

DEFAULT_INTERVAL_S, DEFAULT_TIMEOUT_S = 60.0, 10.0
_SCHEMES = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Login:
    """How a scrape says who it is; `secret` names one of the house's secrets, never the value itself."""

    kind: str = ""  # "", basic, bearer
    user: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A scrape job. Limits of 0 are none; a scrape beyond one fails whole, and `up` says so."""

    name: str
    tenant: str = "site"
    interval_s: float = DEFAULT_INTERVAL_S
    timeout_s: float = DEFAULT_TIMEOUT_S
    scheme: str = "http"
    path: str = "/metrics"
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    honor_labels: bool = False
    honor_timestamps: bool = True
    login: Login = Login()
    verify_tls: bool = True
    sample_limit: int = 0
    label_limit: int = 0
    body_limit: int = 64 << 20
    target_limit: int = 0
    relabel: tuple[rules.Rule, ...] = ()
    metric_relabel: tuple[rules.Rule, ...] = ()
    discoveries: tuple[tuple[str, Discovery], ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped: its address, the labels its samples get, and those it was found with (for the page)."""

    job: Job
    url: str
    labels: tuple[tuple[str, str], ...]
    found: tuple[tuple[str, str], ...]
    interval_s: float
    timeout_s: float

    @property
    def key(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """By which a target is known from one finding to the next."""
        return self.job.name, self.url, self.labels

    def offset_s(self) -> float:
        """When in its interval it is scraped: by its identity, so that scrapes spread and do not move at restarts."""
        digest = hashlib.blake2b(repr(self.key).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64 * self.interval_s


def target(job: Job, found: Labels) -> Target | None:
    """The target that labels from discovery come to; None where relabelling drops it. Raises Invalid."""
    begin = {
        "job": job.name,
        "__scheme__": job.scheme,
        "__metrics_path__": job.path,
        "__scrape_interval__": f"{job.interval_s:g}s",
        "__scrape_timeout__": f"{job.timeout_s:g}s",
        **{f"__param_{name}": values[0] for name, values in job.params if values},
        **found,
    }
    labels = rules.relabel(begin, job.relabel)
    if labels is None:
        return None
    where = f"{job.name}: {found.get('__address__', '')}"
    address, scheme = labels.get("__address__", ""), labels.get("__scheme__", "")
    if not address or any(sign in address for sign in "/ \\@?#") or scheme not in _SCHEMES:
        raise Invalid(f"{scheme or 'no scheme'}://{address[:80]} is no address to scrape", where=where)
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or host.endswith(":"):
        address = f"{address}:{_SCHEMES[scheme]}"
    path = labels.get("__metrics_path__", "/metrics")
    given: dict[str, Sequence[str]] = {name: list(values) for name, values in job.params}
    for name, value in labels.items():
        if name.startswith("__param_"):
            rest = list(given.get(name[8:], ()))[1:]
            given[name[8:]] = [value, *rest]
    query = urlencode([(name, value) for name, values in sorted(given.items()) for value in values])
    url = f"{scheme}://{address}{quote(path if path.startswith('/') else '/' + path, safe='/%:~')}"
    labels.setdefault("instance", address)
    try:
        interval = parse_duration(labels["__scrape_interval__"])
        timeout = parse_duration(labels["__scrape_timeout__"])
    except (KeyError, ValueError) as error:
        raise Invalid(f"the scrape's interval or timeout: {error}", where=where) from None
    if not 0 < timeout <= interval:
        raise Invalid("a scrape's timeout is at most its interval, and more than 0", where=where)
    kept = tuple(sorted(pair for pair in labels.items() if not pair[0].startswith("__")))
    return Target(
        job, f"{url}?{query}" if query else url, kept, tuple(sorted(found.items())), interval, timeout
    )


_PLAIN = {
    "job_name": "name", "tenant": "tenant", "scheme": "scheme", "metrics_path": "path",
    "honor_labels": "honor_labels", "honor_timestamps": "honor_timestamps", "sample_limit": "sample_limit",
    "label_limit": "label_limit", "target_limit": "target_limit",
}  # fmt: skip
_TYPES: dict[str, type] = {
    "job_name": str, "tenant": str, "scheme": str, "metrics_path": str, "honor_labels": bool,
    "honor_timestamps": bool, "sample_limit": int, "label_limit": int, "target_limit": int,
}  # fmt: skip


def configured(given: Mapping[str, Any], where: str = "scrape_configs", context: Any = None) -> Job:
    """A job of its configuration, `context` what discovery may need of the house. Raises Invalid with all problems."""
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    discoveries: list[tuple[str, Discovery]] = []

    def attempt(name: str, make: Any) -> Any:
        try:
            return make()
        except Invalid as error:
            problems.extend(error.problems)
        except (ValueError, TypeError) as error:
            problems.append(Problem(str(error), f"{where}.{name}"))
        return None

    for name, value in given.items():
        at = f"{where}.{name}"
        if name in _PLAIN:
            if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and _TYPES[name] is not bool):
                problems.append(Problem(f"{value!r} is no {_TYPES[name].__name__}", at))
            values[_PLAIN[name]] = value
        elif name in ("scrape_interval", "scrape_timeout"):
            values[name.removeprefix("scrape_") + "_s"] = attempt(
                name, lambda v=value: parse_duration(str(v))
            )
        elif name == "body_size_limit":
            values["body_limit"] = attempt(name, lambda v=value: parse_size(str(v)))
        elif name == "params":
            values["params"] = attempt(name, lambda v=value: _params(v))
        elif name in ("relabel_configs", "metric_relabel_configs"):
            made = [
                attempt(name, lambda one=one, n=n, a=at: rules.rule(one, f"{a}[{n}]"))
                for n, one in enumerate(value or ())
            ]
            values[name.removesuffix("_configs")] = tuple(one for one in made if one is not None)
        elif name in ("basic_auth", "authorization"):
            values["login"] = attempt(name, lambda n=name, v=value, a=at: _login(n, v, a))
        elif name == "tls_config":
            values["verify_tls"] = not (isinstance(value, Mapping) and value.get("insecure_skip_verify"))
        elif name in KINDS:
            for number, one in enumerate(value or ()):
                found = attempt(name, lambda n=name, o=one, k=number, a=at: make(n, o, f"{a}[{k}]", context))
                if found is not None:
                    discoveries.append((f"{name}[{number}]", found))
        else:
            problems.append(
                Problem(
                    f"{name} is not spoken here",
                    at,
                    f"one of {', '.join(sorted([*_PLAIN, *KINDS]))}, relabel_configs, …",
                )
            )
    if not values.get("name"):
        problems.append(Problem("a job has a job_name", f"{where}.job_name"))
    if values.get("scheme", "http") not in _SCHEMES:
        problems.append(Problem(f"{values['scheme']!r} is no scheme", f"{where}.scheme", "http or https"))
    interval = values.get("interval_s") or DEFAULT_INTERVAL_S
    if not values.get("timeout_s"):
        values["timeout_s"] = min(DEFAULT_TIMEOUT_S, interval)
    if values["timeout_s"] > interval:
        problems.append(
            Problem(
                "the timeout is longer than the interval", f"{where}.scrape_timeout", "at most the interval"
            )
        )
    if problems:
        first = problems[0]
        raise Invalid(first.message, where=first.where, mend=first.mend, problems=problems)
    return Job(
        discoveries=tuple(discoveries), **{name: value for name, value in values.items() if value is not None}
    )


def _params(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, Mapping):
        raise TypeError("params are a mapping from names to lists")
    return tuple(
        (str(name), tuple(map(str, one)) if isinstance(one, (list, tuple)) else (str(one),))
        for name, one in value.items()
    )


def _login(name: str, value: Any, where: str) -> Login:
    if not isinstance(value, Mapping):
        raise Invalid("a mapping belongs here", where=where)
    for hidden in ("password", "credentials", "password_file", "credentials_file"):
        if hidden in value:
            raise Invalid(
                f"{hidden} in a declaration",
                where=f"{where}.{hidden}",
                mend="secret: the name of one of the house's secrets",
            )
    secret = str(value.get("secret", ""))
    if not secret:
        raise Invalid("no secret is named", where=f"{where}.secret", mend="secret: NAME")
    if name == "basic_auth":
        return Login("basic", str(value.get("username", "")), secret)
    return Login("bearer", "", secret)
