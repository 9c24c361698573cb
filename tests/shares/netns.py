"""Network namespaces of our own, joined by veth pairs, and sockets made inside them. No test here."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from peers import program

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


def run(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}"
    return done.stdout


class Spaces:
    """A few namespaces by short names; `close` takes them away with what runs in them."""

    def __init__(self, *names: str) -> None:
        program("ip", "iproute2")
        if os.geteuid():
            pytest.skip("network namespaces need root")
        self.tag = f"wgs{os.getpid()}"
        self.names: list[str] = []
        self._links = 0
        for name in names:
            made = subprocess.run(
                ["ip", "netns", "add", self.real(name)], capture_output=True, text=True, check=False
            )
            if made.returncode:
                self.close()
                pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
            self.names.append(name)
            self.inside(name, "ip", "link", "set", "lo", "up")

    def real(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def inside(self, name: str, *argv: str, check: bool = True) -> str:
        return run("ip", "netns", "exec", self.real(name), *argv, check=check)

    def join(self, one: str, one_if: str, one_ip: str, two: str, two_if: str, two_ip: str) -> None:
        """A wire between two spaces, with an address at each end (`10.0.0.1/24`)."""
        self._links += 1
        temporary = f"w{os.getpid() % 10000}x{self._links}"
        run("ip", "link", "add", f"{temporary}a", "type", "veth", "peer", "name", f"{temporary}b")
        for space, end, name, address in ((one, "a", one_if, one_ip), (two, "b", two_if, two_ip)):
            run("ip", "link", "set", f"{temporary}{end}", "netns", self.real(space), "name", name)
            self.inside(space, "ip", "addr", "add", address, "dev", name)
            self.inside(space, "ip", "link", "set", "dev", name, "up")

    def call(self, name: str, work: Callable[[], T]) -> T:
        """Do `work` in a thread that is inside; a socket made there stays there."""
        result: list[T] = []
        failed: list[BaseException] = []

        def enter() -> None:
            fd = os.open(f"/run/netns/{self.real(name)}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
                result.append(work())
            except Exception as error:  # noqa: BLE001 - raised again below, in the caller's thread
                failed.append(error)
            finally:
                os.close(fd)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return result[0]

    def connect(self, name: str, to: tuple[str, int], source: str = "", timeout: float = 5) -> socket.socket:
        bound = (source, 0) if source else None
        return self.call(name, lambda: socket.create_connection(to, timeout, bound))

    def close(self) -> None:
        for name in self.names:
            run("ip", "netns", "del", self.real(name), check=False)
        self.names = []
