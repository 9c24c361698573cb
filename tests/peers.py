"""Peers that tests drive or compare with: where `make peers` put them, or a skip that says how to get them.

Python peers live in virtual environments of their own under `.peers/` (their needs clash with ours and with each
other's); programs come from Debian. Nothing here starts anything.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".peers"
DATA = ROOT.parent / "shared" / "data"


def venv(name: str) -> Path:
    """The `bin` folder of the peers' environment `name` (openstack, logs, elastalert, science). Skips where it is not made."""
    found = PEERS / name / "bin"
    if not (found / "python").exists():
        pytest.skip(f"the peers' environment {name} is not made: `make peers`")
    return found


def folder(name: str) -> Path:
    """A peer that was unpacked into `.peers/` (syslog-ng, which Debian will not install beside rsyslog). Or skips."""
    found = PEERS / name
    if not found.exists():
        pytest.skip(f"{name} is not unpacked: `make peers`")
    return found


def program(name: str, package: str = "") -> str:
    """The path of a program. Skips where it is not installed, naming Debian's package."""
    found = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        pytest.skip(f"{name} is not installed: `make test` as root installs it (Debian: {package or name})")
    return found


def data(*parts: str) -> Path:
    """A file or folder of the real inputs beside the checkout. Skips where they are not there."""
    found = DATA.joinpath(*parts)
    if not found.exists():
        pytest.skip(f"the real inputs are not beside this checkout: {'/'.join(parts)}")
    return found
