"""A fake house around the shares room: a site, a work stream whose agent is this process, a ledger in a list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weatherglass.base.errors import WeatherglassError
from weatherglass.base.time import ManualClock
from weatherglass.engine.protocols import Entry, Samples, Work, WorkResult, Written
from weatherglass.shares.executors import EXECUTORS
from weatherglass.site import Site, parse

SITE = """\
site: aurora
hosts:
  mds-1: {address: 10.0.0.2}
  lnr-1: {address: 10.0.0.20}
tenants: {genomics: {}, imaging: {}}
shares:
  lus01:
    lustre: {version: "2.15", mgs: 10.0.0.2@tcp, servers: "10.0.0.[2..7]@tcp"}
    tenants:
      genomics:
        root: /genomics
        squash: {uid: 21, gid: 21}
        quota: {bytes: 50TB}
        via: {router: lnr-1, net: tcp5, addresses: 10.20.0.0/24}
      imaging:
        root: /imaging
        squash: {uid: 22, gid: 22}
        maps: {uid: {1000: 41}, gid: {1000: 41}}
        via: {router: lnr-1, net: tcp6, addresses: 10.21.0.0/24}
"""


def site(text: str = SITE) -> Site:
    return parse({"site.yaml": text}, "site.yaml")


class FakeWork:
    """Does what is sent at once, with the room's real executors."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.sent: list[tuple[str, str]] = []
        self.results: dict[int, WorkResult] = {}

    def send(self, host: str, kind: str, body: Mapping[str, Any]) -> Work:
        self.sent.append((host, kind))
        number = len(self.sent)
        hands = EXECUTORS[kind].make(self.state, host)
        try:
            self.results[number] = WorkResult(
                number, str(number), "done", hands(body, lambda share, text: None)
            )
        except WeatherglassError as error:
            self.results[number] = WorkResult(number, str(number), "failed", {}, str(error))
        return Work(number, kind, str(number), body)

    def wait(self, host: str, work: Work, timeout_s: float) -> WorkResult:
        return self.results[work.offset]


class FakeSink:
    """Keeps what is written."""

    def __init__(self, written: list[tuple[str, Samples]]) -> None:
        self.written = written

    def append(self, tenant: str, batch: Samples) -> Written:
        self.written.append((tenant, batch))
        return Written(len(batch.series))


class FakeKit:
    """What of a Kit this room uses."""

    def __init__(self, state: Path, text: str = SITE) -> None:
        self.declared = site(text)
        self.clock = ManualClock()
        self.work = FakeWork(state)
        self.entries: list[Entry] = []
        self.ledger = self
        self.written: list[tuple[str, Samples]] = []
        self.samples = FakeSink(self.written)

    def site(self) -> Site:
        return self.declared

    def append(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries)
