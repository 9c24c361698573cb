"""A real nfs-ganesha on compiled exports, in a namespace of its own, with two tenants' and a stranger's beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from peers import program
from shares.netns import Spaces
from weatherglass.shares import ganesha
from weatherglass.shares.nids import of_cidr
from weatherglass.shares.policy import NFS, FileSystem, Router, Share

LEGS = {"genomics": "10.51.0", "imaging": "10.52.0", "stranger": "10.53.0"}
IDS = {"genomics": 20001, "imaging": 20002}


def policy(root: Path) -> FileSystem:
    """genomics may write, imaging may only read; the stranger is nobody."""
    shares = tuple(
        Share(name, f"/{name}", IDS[name], IDS[name], (of_cidr(f"{LEGS[name]}.0/24", f"tcp{number}"),), "edge",
              read_only=name == "imaging")
        for number, name in enumerate(IDS, 1)
    )  # fmt: skip
    return FileSystem("home", NFS, (), shares, {"edge": Router("edge", "", {})}, mount=str(root))


def fill(root: Path) -> None:
    """A secret, a file open to others, one that others may write, in each tenant's own 0700 root."""
    for name, number in IDS.items():
        top = root / name
        top.mkdir(parents=True)
        for file, mode in (("secret.txt", 0o600), ("open.txt", 0o644), ("wild.txt", 0o666)):
            (top / file).write_text(f"{file} of {name}\n")
            (top / file).chmod(mode)
            os.chown(top / file, number, number)
        os.chown(top, number, number)
        top.chmod(0o700)


class Nfsd:
    """The server and the wires to it; 2049 on 10.5x.0.1."""

    def __init__(self, folder: Path, fs: FileSystem) -> None:
        self.program = program("ganesha.nfsd", "nfs-ganesha")
        program("nfs-ls", "libnfs-utils")
        self.fs, self.folder = fs, folder
        self.spaces = Spaces("srv", *LEGS)
        self.process: subprocess.Popen[bytes] | None = None
        for number, (name, leg) in enumerate(LEGS.items()):
            self.spaces.join("srv", f"leg{number}", f"{leg}.1/24", name, "eth0", f"{leg}.5/24")

    def configure(self, fs: FileSystem) -> None:
        """Write the exports; a running server takes them in (SIGHUP)."""
        self.fs = fs
        text = ganesha.compiled(fs)
        # Where the server keeps what it recovers from is not the policy's; the machine's own folder is not ours.
        text = text.replace(
            "RecoveryBackend = fs;", f"RecoveryBackend = fs;\n    RecoveryRoot = {self.folder};"
        )
        (self.folder / "ganesha.conf").write_text(text)
        if self.process:
            self.process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        self.configure(self.fs)
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.spaces.real("srv"), self.program, "-F", "-f",
             str(self.folder / "ganesha.conf"), "-L", str(self.folder / "log"), "-p", str(self.folder / "pid"),
             "-N", "EVENT"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                self.spaces.connect("genomics", (f"{LEGS['genomics']}.1", 2049), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(timeout=10)
        self.spaces.close()


def without(fs: FileSystem, tenant: str) -> FileSystem:
    return replace(fs, shares=tuple(one for one in fs.shares if one.tenant != tenant))
