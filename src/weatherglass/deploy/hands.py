"""The server's end of the executors: orders out on the hosts' work streams, answers and progress back.

An order is refused by its executor when it comes too late (`expires_ns`): a stream is durable, and what was right
an hour ago, before the agent went away, may undo what was done since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Protocol

from weatherglass.base.errors import Unavailable
from weatherglass.base.time import SECOND_NS, Clock
from weatherglass.base.units import duration
from weatherglass.deploy.model import Change, Observed, UnitId, observed_from_json
from weatherglass.deploy.plan import sentence
from weatherglass.deploy.runs import Run
from weatherglass.engine.protocols import Work, WorkResult

LONGEST_S = 1200.0
"""A converge may build an image and run jobs; longer than this it is given up."""

SILENCE_S = 15.0
GONE_S = 120.0
_HOSTS_AT_ONCE = 16


class Orders(Protocol):
    """The work queue, with progress (`engine.work.Queues`)."""

    def send(self, host: str, kind: str, body: Mapping[str, Any]) -> Work: ...

    def wait(self, host: str, work: Work, timeout_s: float) -> WorkResult: ...

    def follow(self, host: str, key: str, timeout_s: float = ...) -> Iterator[WorkResult]: ...


class Failed(Unavailable):
    """An executor could not do it; `unit` is the one at fault, where it is known."""

    def __init__(self, message: str, *, unit: str = "", where: str = "", mend: str = "") -> None:
        super().__init__(message, where=where, mend=mend)
        self.unit = unit


class Hands:
    """All executors of the site, by host. `heard_ns(host)`, once it is given, tells of its last heartbeat."""

    def __init__(self, work: Orders, clock: Clock, stopping: Event) -> None:
        self._work, self._clock, self.stopping = work, clock, stopping
        self.heard_ns: Callable[[str], int] = lambda host: clock.now_ns()

    def observe(self, hosts: Iterable[str], timeout_s: float) -> dict[UnitId, Observed]:
        """What all these hosts have. Raises Unavailable with the hosts that do not answer."""
        sent = {
            host: self._send(host, "deploy.act", {"action": "observe"}, timeout_s)
            for host in sorted(set(hosts))
        }
        deadline = self._clock.monotonic() + timeout_s
        found: dict[UnitId, Observed] = {}
        silent = []
        for host, work in sent.items():
            try:
                answer = self._work.wait(host, work, max(0.05, deadline - self._clock.monotonic()))
            except Unavailable:
                silent.append(host)
                continue
            body = self._body(host, answer)
            found |= {UnitId(unit_id): observed_from_json(seen) for unit_id, seen in body["observed"].items()}
        if silent:
            raise Unavailable(
                f"no answer from the agent on {', '.join(silent)} within {timeout_s:g} s",
                where=f"host/{silent[0]}",
                mend="start it there with `weatherglass agent`, or take the host out of the site",
            )
        return found

    def act(self, host: str, body: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """One act on one host, to its end. Raises Failed, Unavailable."""
        answer = self._work.wait(host, self._send(host, "deploy.act", body, timeout_s), timeout_s)
        return self._body(host, answer)

    def converge(
        self, changes: Iterable[Change], site: str, generation: str, run: Run, reach: tuple[float, float]
    ) -> dict[str, float]:
        """Make the changes of one wave, on all their hosts at once; seconds by unit. Raises Failed, Unavailable.

        `reach`: the fractions of the run at which the wave begins and ends.
        """
        by_host: dict[str, list[Change]] = {}
        for change in changes:
            by_host.setdefault(change.unit.host, []).append(change)
            run.say(sentence(change), entity=f"replica/{change.unit.replica}" if change.unit.replica else "")
        bodies = {
            host: {
                "site": site,
                "generation": generation,
                "units": [change.unit.to_json() for change in mine if change.action != "remove"],
                "remove": [change.unit.id for change in mine if change.action == "remove"],
            }
            for host, mine in by_host.items()
        }
        sent = {host: self._send(host, "deploy.converge", body, LONGEST_S) for host, body in bodies.items()}
        took: dict[str, float] = {}
        with ThreadPoolExecutor(min(len(sent), _HOSTS_AT_ONCE), "deploy-wave") as pool:
            answers = pool.map(lambda host: self._follow(host, sent[host], run, reach), sent)
            problems = []
            for host, body in zip(sent, answers, strict=True):
                took |= {step["unit"]: step["seconds"] for step in body["done"]}
                if not body["ok"]:
                    problems.append((host, body["failed"]))
        if problems:
            host, failed = problems[0]
            raise Failed(failed["error"], unit=failed["unit"], where=f"host/{host}", mend=failed["mend"])
        return took

    def _follow(self, host: str, work: Work, run: Run, reach: tuple[float, float]) -> dict[str, Any]:
        """Pass progress on until the final answer. An agent that is gone for long is not waited for."""
        begin, end = reach
        told, began = 0, self._clock.monotonic()
        while True:
            try:
                for number, result in enumerate(self._work.follow(host, work.key, SILENCE_S)):
                    if result.status != "progress":
                        break
                    if number >= told:  # each call begins at the first line that is kept
                        told = number + 1
                        run.say(str(result.body["text"]))
                        run.reach(begin + (end - begin) * float(result.body["share"]))
                else:
                    raise Unavailable(f"the work stream of {host} was closed", where=f"host/{host}")
            except Unavailable:
                self._still_waiting(host, run, began)
                continue
            return self._body(host, result)

    def _still_waiting(self, host: str, run: Run, began: float) -> None:
        """Nothing came for a while. Raises Unavailable when nothing is to be hoped for."""
        if self.stopping.is_set():
            raise Unavailable("the server is stopping")
        silent_s = (self._clock.now_ns() - self.heard_ns(host)) / SECOND_NS
        if self._clock.monotonic() - began > LONGEST_S or silent_s > GONE_S:
            raise Unavailable(
                f"the agent on {host} has not been heard of for {duration(silent_s)} amid its work",
                where=f"host/{host}",
                mend="start it: it finishes what it was told when it is back",
            )
        if silent_s > SILENCE_S:
            run.say(
                f"waiting for the agent on {host}, last heard of {duration(silent_s)} ago",
                entity=f"host/{host}",
            )

    def _send(self, host: str, kind: str, body: Mapping[str, Any], valid_s: float) -> Work:
        expires_ns = self._clock.now_ns() + int(valid_s * SECOND_NS)
        return self._work.send(host, kind, {**body, "expires_ns": expires_ns})

    @staticmethod
    def _body(host: str, result: WorkResult) -> dict[str, Any]:
        if result.status == "failed":
            raise Failed(result.error or "it failed", where=f"host/{host}")
        return dict(result.body)
