"""What the agent's tests share: a sink, a fast pace, fake hands."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.agent_sink import TOKEN, Sink
from weatherglass.agent.agent import Agent, Link
from weatherglass.agent.settings import Pace, Settings
from weatherglass.engine.protocols import ReplicaSeen, Running, VolumeSeen

FAST = Pace(
    heartbeat_s=0.2,
    look_s=0.1,
    samples_s=0.2,
    tail_s=0.05,
    probe_s=0.5,
    probe_sick_s=0.1,
    silence_s=2.0,
    retry_first_s=0.05,
    retry_limit_s=0.2,
)


class FakeHands:
    """A fake of deploy.execute's Executor: says what a test tells it to see."""

    def __init__(self) -> None:
        self.seen: list[ReplicaSeen] = []
        self.sized: list[VolumeSeen] = []
        self.adopted = 0

        self.collected: list[dict] = []

    def adopt(self) -> None:
        self.adopted += 1

    def wait_exit(self, timeout_s: float) -> bool:
        time.sleep(min(timeout_s, 0.1))
        return False

    def sources(self) -> list[dict]:
        return list(self.collected)

    def replicas(self) -> list[ReplicaSeen]:
        return list(self.seen)

    def volumes(self) -> list[VolumeSeen]:
        return list(self.sized)


def replica(name: str, pid: int, state: Running = Running.RUNNING) -> ReplicaSeen:
    return ReplicaSeen(name, state, pid=pid)


@pytest.fixture(scope="session")
def quick_root() -> Iterator[Path]:
    """A folder in memory, where a sync is free: for what is not about the disk."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def quick_folder(quick_root: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=quick_root))


@pytest.fixture
def sink():
    with Sink() as sink:
        yield sink


@pytest.fixture
def hands() -> FakeHands:
    return FakeHands()


@pytest.fixture
def settings(sink, tmp_path) -> Settings:
    return Settings(sink.url, TOKEN, tmp_path / "state", "here", "aurora", "rack-a", FAST)


@pytest.fixture
def run_agent(settings, hands):
    """Start agents in this process; all are stopped at the end of the test."""
    running = []

    def start(**changes) -> Agent:
        agent = Agent(Link(settings), hands, changes.pop("kinds", {}))
        thread = threading.Thread(target=agent.run, daemon=True)
        thread.start()
        running.append((agent, thread))
        return agent

    yield start
    for agent, thread in running:
        agent.stop()
        thread.join(10)
        assert not thread.is_alive()
