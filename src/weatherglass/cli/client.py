"""The server, as live verbs reach it: found by --state or the environment, spoken to over HTTP.

Refusals come back as the errors that the server raised, so that the exit code is the same as it would be inside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from weatherglass.base import errors
from weatherglass.base.errors import Problem, Unauthenticated, Unavailable, WeatherglassError

URL = "WEATHERGLASS_URL"
TOKEN = "WEATHERGLASS_TOKEN"  # noqa: S105 - the variable's name

_KINDS: dict[str, type[WeatherglassError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WeatherglassError)
}
_BY_STATUS: dict[int, type[WeatherglassError]] = {
    400: errors.Invalid, 401: errors.Unauthenticated, 403: errors.Denied, 404: errors.NotFound,
    409: errors.Conflict, 413: errors.TooLarge, 429: errors.LimitExceeded, 503: errors.Unavailable,
}  # fmt: skip


def default_state() -> Path:
    from weatherglass.house.hold import default_state as by_house

    return by_house()


def find(state: Path | None) -> tuple[str, str]:
    """(address, token) of the server: of `state` where given, else the environment's, else the default state's.

    Raises Unavailable, Unauthenticated.
    """
    url, token = os.environ.get(URL, ""), os.environ.get(TOKEN, "")
    if state is None and url:
        if not token:
            raise Unauthenticated(f"{URL} is set and {TOKEN} is not", mend=f"export {TOKEN}=wg_…")
        return url.rstrip("/"), token
    folder = state or default_state()
    try:
        there = json.loads((folder / "server.json").read_text())
        url = str(there["url"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Unavailable(
            f"no server runs on {folder}",
            mend=f"start one (weatherglass up SITE --state {folder}), name its --state, or set {URL} and {TOKEN}",
        ) from None
    try:
        return url.rstrip("/"), (folder / "token").read_text().strip()
    except OSError as error:
        raise Unauthenticated(
            f"the token in {folder} cannot be read: {error.strerror}",
            mend=f"run as its owner, or set {URL} and {TOKEN}",
        ) from None


class Client:
    """One server. Every call raises what the server said, as our own error."""

    def __init__(self, state: Path | None = None, tenant: str = "") -> None:
        """`tenant` is whose partition is asked about, of those that the token may see; else the server chooses."""
        self.url, self._token = find(state)
        self._http = httpx.Client(
            base_url=self.url,
            headers={
                "Authorization": f"Bearer {self._token}",
                "User-Agent": "weatherglass-cli",
                **({"X-Weatherglass-Tenant": tenant} if tenant else {}),
            },
            timeout=httpx.Timeout(180, connect=5),
        )

    def get(self, path: str, **params: Any) -> Any:
        return self._json(
            "GET", path, params={name: value for name, value in params.items() if value not in (None, "")}
        )

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._json("POST", path, json=dict(body or {}))

    def delete(self, path: str) -> Any:
        return self._json("DELETE", path)

    def prometheus(self, path: str, **fields: str) -> Any:
        """The `data` of a question to the Prometheus API, with its warnings."""
        return self._json("POST", f"/prometheus/api/v1/{path}", data=fields)

    def save(self, path: str, to: Path) -> int:
        """A download into a new file, whole or not at all; its bytes."""
        fresh = to.with_name(f".{to.name}.{os.getpid()}")
        try:
            with self._reached(), self._http.stream("GET", path) as answer:
                if answer.is_error:
                    answer.read()
                    raise error_of(answer)
                with fresh.open("xb") as file:
                    os.fchmod(file.fileno(), 0o600)
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
                    os.fsync(file.fileno())
            fresh.rename(to)
        finally:
            fresh.unlink(missing_ok=True)
        return to.stat().st_size

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """(event, data) of a stream of server-sent events, until it ends."""
        with (
            self._reached(),
            self._http.stream("GET", path, headers={"Accept": "text/event-stream"}) as answer,
        ):
            if answer.is_error:
                answer.read()
                raise error_of(answer)
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    yield kind, json.loads(line[6:])

    def _json(self, method: str, path: str, **more: Any) -> Any:
        with self._reached():
            answer = self._http.request(method, path, **more)
        if answer.is_error:
            raise error_of(answer)
        return answer.json()

    def _reached(self) -> _Reached:
        return _Reached(self.url)


class _Reached:
    """What went wrong on the way, as Unavailable."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
            raise Unavailable(
                f"the server at {self._url} does not answer: {error or type(error).__name__}",
                mend="see that it runs: weatherglass up, or name another with --state",
            ) from None


def error_of(answer: httpx.Response) -> WeatherglassError:
    """The error that an answer tells: ours with its problems, Prometheus', or whatever stands there."""
    try:
        told = answer.json()
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    kind = _BY_STATUS.get(answer.status_code, WeatherglassError)
    if told.get("status") == "error":
        return kind(str(told.get("error", "")))
    problems = [
        Problem(str(one.get("message", "")), str(one.get("where", "")), str(one.get("mend", "")))
        for one in told.get("problems", [])
        if isinstance(one, dict)
    ]
    message = str(told.get("message") or f"the server answered {answer.status_code}")
    kind = _KINDS.get(str(told.get("error")), kind)
    return kind(message, where=str(told.get("where", "")), mend=str(told.get("mend", "")), problems=problems)
