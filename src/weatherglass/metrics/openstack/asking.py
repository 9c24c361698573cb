"""All questions asked of one cloud: services beside each other, within a time; one that is down blinds no other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from weatherglass.base.errors import Denied, NotFound, Unavailable, WeatherglassError
from weatherglass.metrics.openstack.client import Client
from weatherglass.metrics.openstack.questions import QUESTIONS, SERVICES, Answers, Question

WORKERS = 6


def ask(client: Client, *, within_s: float = 50.0, slow: bool = True, most_each: int = 500) -> Answers:
    """What the cloud says now. `most_each` bounds the questions that are asked once an id.

    Raises Unauthenticated, Unavailable: where Keystone does not let us in there is nobody to ask.
    """
    return _Asking(client, within_s, slow, most_each).run()


class _Asking:
    def __init__(self, client: Client, within_s: float, slow: bool, most_each: int) -> None:
        self._client, self._slow, self._most = client, slow, most_each
        self._until = time.monotonic() + within_s
        self._lock = threading.Lock()
        self._answers = Answers(client.cloud.name, client.cloud.region)
        self._identity = threading.Event()  # projects are what others ask about

    def run(self) -> Answers:
        session = self._client.session()
        answers = self._answers
        answers.project = session.project
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="openstack")
        try:
            asked: dict[Future[None], str] = {
                pool.submit(self._service, service): service
                for service in SERVICES
                if self._client.has(service)
            }
            _, late = wait(asked, timeout=max(self._until - time.monotonic(), 0.0))
            with self._lock:
                for future in late:
                    answers.failed.setdefault(asked[future], "it does not answer in time")
                # Late ones still hold the values they write to: what is handed out is not theirs.
                return Answers(
                    answers.cloud, answers.region, {name: dict(told) for name, told in answers.told.items()},
                    dict(answers.failed), dict(answers.denied), dict(answers.seconds), answers.requests, answers.project,
                )  # fmt: skip
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _service(self, service: str) -> None:
        try:
            for question in QUESTIONS:
                if question.service == service and (self._slow or not question.slow):
                    self._ask(question)
        except WeatherglassError as error:
            with self._lock:
                self._answers.failed[service] = error.message
        finally:
            if service == "identity":
                self._identity.set()

    def _ask(self, question: Question) -> None:
        """One question. What one may not see, or what is not there, is no reason not to ask the next."""
        began = time.monotonic()
        if began > self._until:
            raise Unavailable("it does not answer in time", where=question.service)
        try:
            found = self._each(question) if question.each else self._list(question)
        except Denied as error:
            with self._lock:
                self._answers.denied[f"{question.service}.{question.name}"] = error.message
            return
        except NotFound:
            if not question.optional:
                raise
            return
        with self._lock:
            self._answers.told.setdefault(question.service, {})[question.name] = found
            self._answers.seconds[question.service, question.name] = time.monotonic() - began

    def _list(self, question: Question) -> list[Any]:
        self._count()
        return self._client.list(question.service, question.path, question.key, question.params)

    def _each(self, question: Question) -> dict[str, Any]:
        of, _, name = question.each.partition(".")
        if of == "identity" and question.service != "identity":
            self._identity.wait(max(self._until - time.monotonic(), 0.0))
        with self._lock:
            things = self._answers.list(of, name)[: self._most]
        found: dict[str, Any] = {}
        for thing in things:
            if time.monotonic() > self._until:
                raise Unavailable("it does not answer in time", where=question.service)
            key = str(thing.get("id") or thing.get("uuid") or "")
            path = question.path.format(id=key, uuid=key)
            params = {name: value.format(id=key) for name, value in question.params.items()}
            try:
                self._count()
                found[key] = self._client.get(question.service, path, params)
            except NotFound:
                continue  # it went while we asked
        return found

    def _count(self) -> None:
        with self._lock:
            self._answers.requests += 1
