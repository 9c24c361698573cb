"""The house as a drill sees it: HTTP, one token. Refusals come back as the errors that the server told."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import httpx

from weatherglass.base import errors
from weatherglass.base.errors import Invalid, Problem, Unavailable, WeatherglassError
from weatherglass.base.time import SECOND_NS

URL = "WEATHERGLASS_URL"
TOKEN = "WEATHERGLASS_TOKEN"  # noqa: S105 - the variable's name

_KINDS: dict[str, type[WeatherglassError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WeatherglassError)
}


class House:
    """One server. `now_ns` is its clock as it can be known from here."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}", "User-Agent": "weatherglass-drill"},
            # A fault is answered only when its agent has done it.
            timeout=httpx.Timeout(60, connect=5),
        )
        self._offset_ns = 0

    @classmethod
    def of_environment(cls) -> House:
        """The one that the environment names. Raises Invalid."""
        url, token = os.environ.get(URL, ""), os.environ.get(TOKEN, "")
        if not (url and token):
            raise Invalid(
                f"{URL} and {TOKEN} do not name a house",
                mend="run it as `weatherglass drill …` with --state DIR, or export both",
            )
        return cls(url, token)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The answer of one of our own resources (`/api/v1/` goes before it). Raises what the server said."""
        return self._ask("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json=dict(body))

    def fault(self, host: str, fault: str, **more: Any) -> dict[str, Any]:
        """Inject one on `host`; what its agent answered. Raises Unavailable where it could not."""
        answer = self.post("faults", {"host": host, "fault": fault, **more})
        if answer.get("status") == "failed":
            raise Unavailable(f"the agent could not {fault}: {answer.get('error')}", where=f"host/{host}")
        return dict(answer["body"])

    def synchronise(self) -> None:
        """Learn by how much the server's clock differs from this machine's."""
        began = time.time_ns()
        told = int(self.get("status")["at_ns"])
        self._offset_ns = told - (began + time.time_ns()) // 2

    def now_ns(self) -> int:
        """The server's wall clock, as last learnt."""
        return time.time_ns() + self._offset_ns

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, f"/api/v1/{path}", **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"the house at {self.url} does not answer: {error or type(error).__name__}",
                mend="see that it runs: weatherglass status",
            ) from None
        if answer.is_error:
            raise _error_of(answer)
        told = answer.json()
        if not isinstance(told, dict):
            raise Unavailable(f"the house answered {path} with no object")
        return told


def _error_of(answer: httpx.Response) -> WeatherglassError:
    try:
        told = answer.json()
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    kind = _KINDS.get(str(told.get("error")), WeatherglassError)
    problems = [
        Problem(str(one.get("message", "")), str(one.get("where", "")), str(one.get("mend", "")))
        for one in told.get("problems", [])
        if isinstance(one, dict)
    ]
    message = str(told.get("message") or f"the server answered {answer.status_code}")
    return kind(message, where=str(told.get("where", "")), mend=str(told.get("mend", "")), problems=problems)


def seconds(from_ns: int, to_ns: int) -> float:
    """The span between two instants of one clock, in seconds."""
    return (to_ns - from_ns) / SECOND_NS
