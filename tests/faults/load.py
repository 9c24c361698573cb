"""Writers that note what the server acknowledged, and the comparison with what it tells afterwards. No test here.

Each writer numbers what it writes and, as the agent does, repeats a batch whose answer was lost until there is
one. So whatever the server was made to suffer, what it tells of a writer must be 0, 1, 2 … without a gap, a
repetition or another order, at least up to the last acknowledged and at most up to the last attempted.
"""

from __future__ import annotations

import abc
import itertools
import random
import threading
import time
from collections.abc import Sequence

import httpx

from faults.served import Server, events, found, push, raw, samples, write

BATCH = 10
HOST = "here"


class Writer(threading.Thread, abc.ABC):
    """Numbered batches until `done`; `acknowledged` and `attempted` are counts of numbers."""

    def __init__(self, server: Server, name: str, token: str) -> None:
        super().__init__(name=name, daemon=True)
        self.server, self.token = server, token
        self.began_ms = time.time_ns() // 1_000_000
        self.acknowledged = self.attempted = self.checked = 0
        self.refused: list[str] = []
        self.unavailable: list[str] = []
        self.done, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()
        self.round = 0
        self.sending = False

    def run(self) -> None:
        with self.server.client(self.token) as client:
            while not self.done.is_set():
                self.goes_on.wait(0.5)
                if not self.goes_on.is_set():
                    continue
                numbers = range(self.acknowledged, max(self.attempted, self.acknowledged + BATCH))
                self.sending, self.attempted = True, numbers[-1] + 1
                acknowledged = self.tell(client, numbers)
                if acknowledged:
                    self.acknowledged = self.attempted
                self.sending = False
                if not acknowledged:
                    time.sleep(0.02)

    def tell(self, client: httpx.Client, numbers: Sequence[int]) -> bool:
        """Send once; whether it was acknowledged."""
        try:
            answer = self.send(client, numbers)
        except httpx.HTTPError:
            return False
        if answer.status_code // 100 == 2:
            return True
        told = self.unavailable if answer.status_code == 503 else self.refused
        told.append(f"{answer.status_code} {answer.text}")
        return False

    @abc.abstractmethod
    def send(self, client: httpx.Client, numbers: Sequence[int]) -> httpx.Response:
        """One request that brings these numbers."""

    @abc.abstractmethod
    def told(self, client: httpx.Client, first: int) -> list[int]:
        """The numbers from `first` on that the server has, in its order."""

    def check(self, client: httpx.Client, *, whole: bool = False) -> None:
        """Nothing lost, nothing invented, in order: of what came since a while before the last check, or of all."""
        first = 0 if whole else max(0, self.checked - 50 * BATCH)
        acknowledged, told, attempted = self.acknowledged, self.told(client, first), self.attempted
        end = first + len(told)
        assert self.refused == []
        assert told == list(range(first, end)), f"{self.name}: {_first_wrong(told, first)}"
        assert acknowledged <= end <= attempted, f"{self.name}: {end} of {acknowledged}"
        self.checked = acknowledged


def _first_wrong(told: Sequence[int], first: int) -> str:
    at = next(number for number, one in enumerate(told) if one != number + first)
    return f"at {at}: {told[max(0, at - 3) : at + 8]}, {len(told)} in all"


class SampleWriter(Writer):
    """Samples a millisecond apart, a new series each round."""

    def send(self, client: httpx.Client, numbers: Sequence[int]) -> httpx.Response:
        labels = {"writer": self.name, "round": str(self.round)}
        return write(client, samples("numbered", [(labels, float(n), self.began_ms + n) for n in numbers]))

    def told(self, client: httpx.Client, first: int) -> list[int]:
        series = raw(client, f'numbered{{writer="{self.name}"}}', self.began_ms / 1000 + 3600, "2h")
        pairs = [(round(at * 1000), int(value)) for one in series for at, value in one["values"]]
        # A batch repeated in another round is in two series: the same instant, and it must be the same value.
        merged = sorted(set(pairs))
        assert all(at - self.began_ms == number for at, number in merged)
        for one in series:
            times = [at for at, _ in one["values"]]
            assert times == sorted(set(times))
        return [number for _, number in merged if number >= first]


class EventWriter(Writer):
    """Events; those of a batch have one time, so their order is the server's own doing."""

    def send(self, client: httpx.Client, numbers: Sequence[int]) -> httpx.Response:
        labels = {"host": HOST, "service": "numbers"}
        at = self.began_ms * 1_000_000 + numbers[0] * 1000
        return push(client, events([(at, labels, f"{self.name} number {n}") for n in numbers]))

    def told(self, client: httpx.Client, first: int) -> list[int]:
        began, end = self.began_ms / 1000 + (first * 1000 - 500) / 1e9, self.began_ms / 1000 + 3600
        newest_first = [
            int(one["message"].rpartition(" ")[2]) for one in found(client, self.name, began, end)
        ]
        return newest_first[::-1]


class TokenWriter(Writer):
    """Tokens made, each of which the ledger has to tell. A lost answer may have made one: the next has its number too,
    under another name."""

    def __init__(self, server: Server, name: str, token: str) -> None:
        super().__init__(server, name, token)
        self._tries = itertools.count()
        self.made: dict[str, str] = {}
        self.ledger_from_s = self.began_ms / 1000
        self.tried: set[str] = set()

    def send(self, client: httpx.Client, numbers: Sequence[int]) -> httpx.Response:
        name = f"{self.name}-{numbers[0]}-{next(self._tries)}"
        self.tried.add(name)
        body = {"name": name, "role": "viewer", "tenants": ["site"], "why": self.name}
        answer = client.post("/api/v1/tokens", json=body)
        if answer.status_code == 201:
            self.made[name] = answer.json()["token"]
        return answer

    def told(self, client: httpx.Client, first: int) -> list[int]:
        """Its tries that the ledger tells of, in its order: some numbers may be missing, whose answer was lost."""
        rows = [one for one in entries(client, self.ledger_from_s) if one["why"] == self.name]
        return [number for one in rows if (number := _try_of(one["after"]["name"])) >= first]

    def check(self, client: httpx.Client, *, whole: bool = True) -> None:
        made = dict(self.made)
        assert self.refused == []
        asked = client.get("/api/v1/tokens", params={"all": "1"}).json()["tokens"]
        known = {one["name"] for one in asked if one["name"].startswith(f"{self.name}-")}
        told = self.told(client, 0)
        assert told == sorted(set(told)), "the ledger tells another order, or one twice"
        assert set(told) <= set(map(_try_of, self.tried))  # the newest: others may be made meanwhile
        assert set(made) <= known
        assert set(map(_try_of, known)) <= set(told), "a token that the ledger does not tell of"
        for name in random.sample(sorted(made), min(3, len(made))):
            answer = client.get("/api/v1/me", headers={"Authorization": f"Bearer {made[name]}"})
            assert answer.json()["name"] == name, answer.text


def _try_of(name: str) -> int:
    return int(name.rpartition("-")[2])


def entries(client: httpx.Client, start_s: float) -> list[dict]:
    """The ledger since `start_s`, oldest first."""
    rows: dict[int, dict] = {}
    end = time.time() + 3600
    while True:
        answer = client.get("/api/v1/ledger", params={"start": start_s, "end": end, "limit": 1000})
        assert answer.status_code == 200, answer.text
        page = answer.json()["entries"]
        fresh = [one for one in page if one["offset"] not in rows]
        rows |= {one["offset"]: one for one in page}
        if len(page) < 1000 or not fresh:
            return [rows[offset] for offset in sorted(rows)]
        end = page[-1]["at_ns"] / 1e9 + 0.000001


KINDS = [
    ("samples0", SampleWriter),
    ("samples1", SampleWriter),
    ("events0", EventWriter),
    ("events1", EventWriter),
    ("ledger0", TokenWriter),
]


def writers(server: Server) -> list[Writer]:
    """One of each kind and more, all started."""
    agent = server.new_token("numbers", "agent", HOST)
    admin = server.token
    made = [kind(server, name, agent if kind is EventWriter else admin) for name, kind in KINDS]
    for one in made:
        one.start()
    return made
