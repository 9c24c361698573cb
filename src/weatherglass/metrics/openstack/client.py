"""One cloud, asked over HTTP: a token of Keystone's, the catalogue, microversions, pages. It can only read.

The one request that is not a GET is `POST /v3/auth/tokens`: there is no method here by which another could be sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from weatherglass.base.errors import Corrupt, Denied, NotFound, Unauthenticated, Unavailable
from weatherglass.metrics.openstack.clouds import Cloud

REQUEST_S = 20.0
PAGE = 1000
PAGES = 1000  # of one list: a cloud that repeats itself must not keep us
BODY = 256 << 20
# How a service is called in the catalogue, and the version that its paths begin with.
TYPES: dict[str, tuple[tuple[str, ...], str]] = {
    "identity": (("identity",), "/v3"),
    "nova": (("compute",), "/v2.1"),
    "placement": (("placement",), ""),
    "neutron": (("network",), "/v2.0"),
    "glance": (("image",), "/v2"),
    "cinder": (("block-storage", "volumev3", "volume"), "/v3"),
    "loadbalancer": (("load-balancer",), "/v2.0"),
    "heat": (("orchestration",), "/v1"),
}
# The newest microversion that is understood here: (header, what stands before the number, the number).
MICROVERSIONS: dict[str, tuple[str, str, str]] = {
    "nova": ("X-OpenStack-Nova-API-Version", "", "2.87"),  # after it hypervisors no longer say what they have
    "placement": ("OpenStack-API-Version", "placement ", "1.39"),
    "cinder": ("OpenStack-API-Version", "volume ", "3.27"),
}


@dataclass(slots=True)
class _Session:
    token: str
    until: float  # monotonic seconds
    project: str
    endpoints: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)


class Client:
    """Any thread may ask. `close` at the end."""

    def __init__(self, cloud: Cloud, *, timeout_s: float = REQUEST_S) -> None:
        self.cloud = cloud
        verify: Any = cloud.verify
        if cloud.verify and cloud.cacert:
            import ssl

            verify = ssl.create_default_context(cafile=cloud.cacert)
        self._http = httpx.Client(
            timeout=timeout_s, verify=verify, trust_env=False, follow_redirects=False,
            headers={"User-Agent": "weatherglass", "Accept": "application/json"},
        )  # fmt: skip
        self._lock = threading.Lock()
        self._session: _Session | None = None

    def close(self) -> None:
        self._http.close()

    # --- who we are --------------------------------------------------------------------------------------

    def session(self, stale: str = "") -> _Session:
        """The token and the catalogue; new ones where there are none, they end soon, or `stale` was refused.

        Raises Unauthenticated, Unavailable.
        """
        with self._lock:
            now = time.monotonic()
            if self._session is None or self._session.until < now or self._session.token == stale:
                self._session = self._log_in(now)
            return self._session

    def _log_in(self, now: float) -> _Session:
        address = f"{self.cloud.auth_url}/auth/tokens"
        try:
            answer = self._http.post(address, json=self.cloud.request())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"Keystone does not answer: {said(error)}", where=address) from error
        if answer.status_code in (401, 403):
            raise Unauthenticated(
                "Keystone does not let us in", where=address, mend="look at clouds.yaml's auth"
            )
        if answer.status_code not in (200, 201):
            raise Unavailable(f"Keystone answers {answer.status_code}", where=address)
        token = answer.headers.get("X-Subject-Token", "")
        body = self._json(answer, address).get("token", {})
        if not token or not isinstance(body, dict):
            raise Corrupt("Keystone gives no token", where=address)
        session = _Session(token, now + _lasts_s(body), str(body.get("project", {}).get("id", "")))
        session.endpoints = endpoints(body.get("catalog", []), self.cloud)
        session.endpoints.setdefault("identity", self.cloud.auth_url)
        return session

    def has(self, service: str) -> bool:
        """Whether the catalogue has the service. Raises as `session`."""
        return service in self.session().endpoints

    # --- asking ------------------------------------------------------------------------------------------

    def get(self, service: str, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """An answer. Raises NotFound (no such service, no such path), Denied, Unauthenticated, Unavailable, Corrupt."""
        session = self.session()
        answer = self._get(session, service, path, params)
        if answer.status_code == 401:  # ended early, revoked, or Keystone's keys have turned
            session = self.session(stale=session.token)
            answer = self._get(session, service, path, params)
        where = f"{service} {path}"
        if answer.status_code == 401:
            raise Unauthenticated("the token is refused", where=where)
        if answer.status_code == 403:
            raise Denied("we may not see this", where=where, mend="give the user the role reader, or admin")
        if answer.status_code == 404:
            raise NotFound("there is no such thing", where=where)
        if answer.status_code not in (200, 203, 300):
            raise Unavailable(f"it answers {answer.status_code}", where=where)
        return self._json(answer, where)

    def list(self, service: str, path: str, key: str, params: Mapping[str, str] | None = None) -> list[Any]:
        """A list with all its pages. Raises as `get`."""
        asked, found = dict(params or {}), []
        seen: set[str] = set()
        for _ in range(PAGES):
            body = self.get(service, path, asked)
            page = body.get(key)
            if not isinstance(page, list):
                raise Corrupt(f"there is no list {key}", where=f"{service} {path}")
            found += page
            following = following_page(body, key)
            if not page or not following or following in seen:
                return found
            seen.add(following)
            asked = {**asked, **dict(parse_qsl(following))}
        raise Corrupt(f"the list does not end after {PAGES} pages", where=f"{service} {path}")

    def _get(
        self, session: _Session, service: str, path: str, params: Mapping[str, str] | None
    ) -> httpx.Response:
        address = session.endpoints.get(service)
        if address is None:
            raise NotFound(f"the catalogue has no {service}", where=self.cloud.name)
        headers = {"X-Auth-Token": session.token, **self._versions(session, service, address)}
        return self._send(address + path, params, headers, f"{service} {path}")

    def _send(
        self, address: str, params: Mapping[str, str] | None, headers: Mapping[str, str], where: str
    ) -> httpx.Response:
        # uWSGI, which serves OpenStack's APIs, ends kept connections without saying so: a read is asked once more.
        for last in (False, True):
            try:
                return self._http.get(address, params=params, headers=headers)
            except httpx.TimeoutException as error:
                raise Unavailable("it does not answer in time", where=where) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if last or isinstance(error, httpx.ConnectError):
                    raise Unavailable(f"it does not answer: {said(error)}", where=where) from error
        raise AssertionError("not reached")

    def _versions(self, session: _Session, service: str, address: str) -> dict[str, str]:
        """The header that asks for the newest microversion which both sides understand."""
        if service not in MICROVERSIONS:
            return {}
        known = session.versions.get(service)
        if known is None:
            name, before, ours = MICROVERSIONS[service]
            told = self._send(
                root_of(address, service), None, {"X-Auth-Token": session.token}, f"{service} versions"
            )
            theirs = newest(self._json(told, service)) if told.status_code in (200, 300) else ""
            wanted = min(ours, theirs, key=_number) if theirs else ""
            known = session.versions[service] = {name: before + wanted} if wanted else {}
        return known

    def _json(self, answer: httpx.Response, where: str) -> dict[str, Any]:
        if len(answer.content) > BODY:
            raise Corrupt("the answer is too large", where=where)
        try:
            body = answer.json()
        except ValueError:
            raise Corrupt("the answer is not JSON", where=where) from None
        if not isinstance(body, dict):
            raise Corrupt("the answer is no object", where=where)
        return body


# --- pure ------------------------------------------------------------------------------------------------


def endpoints(catalogue: Any, cloud: Cloud) -> dict[str, str]:
    """Our name of a service → where its paths begin, of a token's catalogue."""
    found: dict[str, str] = {}
    for service, (types, version) in TYPES.items():
        for kind in types:
            for entry in catalogue if isinstance(catalogue, list) else ():
                if entry.get("type") != kind or service in found:
                    continue
                for one in entry.get("endpoints", ()):
                    region = one.get("region_id") or one.get("region") or ""
                    if one.get("interface") == cloud.interface and cloud.region in ("", region):
                        found[service] = versioned(str(one.get("url", "")), version)
                        break
    return found


def versioned(url: str, version: str) -> str:
    """An endpoint's address with its API's version, which some catalogues leave out."""
    url = url.rstrip("/")
    if not version:
        return url
    parts = urlsplit(url).path.split("/")
    has = any(part[:1] == "v" and part[1:2].isdigit() for part in parts)
    return url if has else url + version


def root_of(address: str, service: str) -> str:
    """Where a service tells its microversions: the version's own document, without the project that may follow."""
    if service == "placement":
        return address + "/"
    parts = urlsplit(address)
    kept = []
    for part in parts.path.split("/"):
        kept.append(part)
        if part[:1] == "v" and part[1:2].isdigit():
            break
    return f"{parts.scheme}://{parts.netloc}{'/'.join(kept)}/"


def newest(body: Mapping[str, Any]) -> str:
    """The newest microversion that a version document tells: `2.93`, or nothing."""
    told = body.get("version") or body.get("versions") or {}
    last = told[-1] if isinstance(told, list) and told else told
    found = (last.get("version") or last.get("max_version") or "") if isinstance(last, dict) else ""
    return found if isinstance(found, str) and all(part.isdigit() for part in found.split(".")) else ""


def following_page(body: Mapping[str, Any], key: str) -> str:
    """The query of the next page, or nothing. The rest of the link may name a host that only the cloud knows."""
    links = body.get(f"{key}_links")
    href: Any = body.get("next")
    if isinstance(links, list):
        href = next(
            (one.get("href") for one in links if isinstance(one, dict) and one.get("rel") == "next"), href
        )
    elif isinstance(body.get("links"), dict):
        href = body["links"].get("next") or href
    return urlsplit(href).query if isinstance(href, str) else ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _lasts_s(body: Mapping[str, Any]) -> float:
    """Seconds that a token is used: four fifths of its life, whatever the clocks of both sides say."""
    from datetime import datetime

    try:
        issued, ends = (datetime.fromisoformat(str(body[name])) for name in ("issued_at", "expires_at"))
    except (KeyError, ValueError):
        return 300.0
    return max(0.8 * (ends - issued).total_seconds(), 1.0)


def said(error: Exception) -> str:
    return str(error) or type(error).__name__
