"""The origin guard's relay, headers checked, beside a plain relay, in the same run: one stream and eight.

    python -m benchmarks.shares_guard [--gigabytes 4] [--rounds 3]

Fake LNet peers on loopback send bulk PUTs of 1 MiB (what Lustre sends) or of 4 KiB. The guard, the plain relay (the same
splice loop, nothing looked at) and a copying one (recv and send of 256 KiB) each run in a process of their own, whose
CPU-seconds are told; the rounds take turns, the best of each counts. "straight" has no relay at all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from shares import lnet  # noqa: E402

from weatherglass.base.time import SystemClock  # noqa: E402
from weatherglass.shares.guard import relay, wire  # noqa: E402
from weatherglass.shares.guard.serve import Guard  # noqa: E402
from weatherglass.shares.nids import read_range  # noqa: E402

NET = "tcp32769"
LEG, ME, OST = lnet.nid("127.0.0.1"), lnet.nid("127.0.0.5"), lnet.nid("10.0.0.3", "tcp0")


def _guard(server: int, pipe: Connection) -> None:
    rules = wire.rules(
        read_range(f"127.0.0.1@{NET}"), [read_range(f"127.0.0.5@{NET}")], [read_range("10.0.0.[0-7]@tcp0")]
    )
    guard = Guard(rules, ("127.0.0.1", server), SystemClock(), print)
    pipe.send(guard.listen("127.0.0.1", 0))
    _told(pipe)


def _relay(server: int, pipe: Connection, *, copying: bool) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    pipe.send(listening.getsockname()[1])

    def copy(source: socket.socket, target: socket.socket) -> None:
        buffer = memoryview(bytearray(relay.BUFFER))
        while taken := source.recv_into(buffer):
            target.sendall(buffer[:taken])

    def one(source: socket.socket, target: socket.socket) -> None:
        try:
            copy(source, target) if copying else relay.plain(source, target, lambda moved: None)
            target.shutdown(socket.SHUT_RDWR)
            source.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def run() -> None:
        while True:
            called, _ = listening.accept()
            target = socket.create_connection(("127.0.0.1", server))
            for pair in ((called, target), (target, called)):
                for end in pair:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=one, args=pair, daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    _told(pipe)


def _told(pipe: Connection) -> None:
    """Answer each question with the CPU-seconds so far, until the pipe ends."""
    while True:
        try:
            pipe.recv()
        except EOFError:
            os._exit(0)
        pipe.send(time.process_time())


def _plain(server: int, pipe: Connection) -> None:
    _relay(server, pipe, copying=False)


def _copying(server: int, pipe: Connection) -> None:
    _relay(server, pipe, copying=True)


def send(port: int, payload: int, total: int) -> None:
    """One stream of PUTs."""
    batch = lnet.message(ME, OST, b"\1" * payload) * max(1, (1 << 20) // (payload + 96))
    with lnet.calling(port) as one:
        one.sendall(lnet.request(LEG) + lnet.hello(ME, LEG))
        lnet.exactly(one, 56)
        left = total
        while left > 0:
            one.sendall(batch)
            left -= len(batch)
        one.shutdown(socket.SHUT_WR)
        lnet.exactly(one, 1)


def measure(port: int, streams: int, payload: int, total: int) -> float:
    """Wall seconds for `total` bytes over so many streams."""
    senders = [
        multiprocessing.Process(target=send, args=(port, payload, total // streams)) for _ in range(streams)
    ]
    began = time.monotonic()
    for one in senders:
        one.start()
    for one in senders:
        one.join()
    return time.monotonic() - began


def _sink(pipe: Connection) -> None:
    router = lnet.FakeRouter(keep=False)
    pipe.send(router.port)
    _told(pipe)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    total = int(options.gigabytes * 1e9)
    if os.geteuid():
        print("not run: peers of LNet call from ports below 1024, which needs root")
        return 0
    spawn = multiprocessing.get_context("fork")
    pipes: dict[str, Connection] = {}
    ports: dict[str, int] = {}

    def start(name: str, target: object, *arguments: object) -> None:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=target, args=(*arguments, theirs), daemon=True)  # type: ignore[arg-type]
        process.start()
        theirs.close()
        pipes[name], ports[name] = ours, ours.recv()

    start("straight", _sink)
    for name, target in (("guard", _guard), ("plain relay", _plain), ("copying relay", _copying)):
        start(name, target, ports["straight"])
    print(
        f"{options.gigabytes:g} GB a run, best of {options.rounds}, {os.cpu_count()} cores; CPU of the relay alone"
    )
    print(f"{'':>15} {'streams':>8} {'payload':>9} {'MB/s':>8} {'CPU-s/GB':>9} {'of plain':>9}")
    for payload in (1 << 20, 4096):
        for streams in (1, 8):
            best: dict[str, tuple[float, float]] = {}
            for _ in range(options.rounds):
                for name in ("straight", "plain relay", "guard", "copying relay"):
                    pipes[name].send(0)
                    before = pipes[name].recv()
                    seconds = measure(ports[name], streams, payload, total)
                    pipes[name].send(0)
                    cpu = pipes[name].recv() - before
                    old = best.get(name, (1e9, 1e9))
                    best[name] = (min(old[0], seconds), min(old[1], cpu))
            plain = best["plain relay"]
            for name, (seconds, cpu) in best.items():
                shown = "" if name == "straight" else f"{cpu / total * 1e9:.3f}"
                of_plain = "" if name == "straight" else f"{plain[0] / seconds:.0%}"
                size = "1 MiB" if payload > 4096 else "4 KiB"
                print(
                    f"{name:>15} {streams:>8} {size:>9} {total / seconds / 1e6:>8.0f} {shown:>9} {of_plain:>9}"
                )
    for one in pipes.values():
        one.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
