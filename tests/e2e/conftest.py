"""The institute of examples/first-light, brought up once for all of these tests, on ports and a state of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from example import copy_example
from institute import House

NEEDED = ("podman", "mmdebstrap", "mkfs.ext4")


@pytest.fixture(scope="session")
def institute(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0:
        pytest.skip("the example runs in containers, on a volume of its own size: run as root")
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("institute")
    site, _ = copy_example(folder, "first-light-e2e", recovery_s=3)
    house = House(site, folder / "state")
    try:
        took = house.start(timeout_s=240)
        print(f"\nfirst start: {took:.1f} s")
        yield house
    finally:
        house.down()
        shutil.rmtree(folder, ignore_errors=True)
        assert not _left(folder), "mounts are left"


def _left(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
