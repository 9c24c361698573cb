"""Bytes from one socket to another, at once or a checked message at a time, with no copy that can be avoided.

Payloads go from socket to socket through a pipe by splice(2) and are never looked at; headers are read, checked and
sent on. Many small messages are read and checked together. Sockets block; each direction has a thread of its own, and
what takes time (recv, send, splice) lets others run.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable

from weatherglass.shares.guard.wire import MESSAGE, Walk

PIPE = 1 << 20
BUFFER = 256 << 10
SPLICED = 48 << 10
"""From so much payload on, splicing is cheaper than reading (about four system calls more a message)."""
_FLAGS = os.SPLICE_F_MOVE


class Pipe:
    """A pipe that payloads pass through; empty between uses."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        # Beyond the user's allowance (pipe-user-pages-soft) the kernel keeps its own size; it works as well.
        try:
            fcntl.fcntl(self.into, fcntl.F_SETPIPE_SZ, PIPE)
        except OSError:
            self.size = fcntl.fcntl(self.into, fcntl.F_GETPIPE_SZ)
        else:
            self.size = PIPE

    def pass_on(self, source: int, target: int, most: int) -> int:
        """Move up to `most` bytes, what is there; 0 at the end of the source."""
        taken = os.splice(source, self.into, min(most, self.size), flags=_FLAGS)
        left = taken
        while left:
            left -= os.splice(self.out, target, left, flags=_FLAGS)
        return taken

    def close(self) -> None:
        os.close(self.out)
        os.close(self.into)


def plain(source: socket.socket, target: socket.socket, count: Callable[[int], None]) -> None:
    """Everything, unseen, until the source ends."""
    pipe = Pipe()
    try:
        while moved := pipe.pass_on(source.fileno(), target.fileno(), PIPE):
            count(moved)
    finally:
        pipe.close()


def checked(source: socket.socket, target: socket.socket, walk: Walk, count: Callable[[int], None]) -> None:
    """Message by message, each header looked at before it goes on, until the source ends. Raises Dropped."""
    pipe = Pipe()
    buffer = bytearray(BUFFER)
    view = memoryview(buffer)
    filled = owed = 0
    reach = BUFFER
    try:
        while taken := source.recv_into(view[filled:reach]):
            count(taken)
            filled += taken
            if filled <= owed:
                target.sendall(view[:filled])
                owed -= filled
                filled = 0
                continue
            good, beyond = walk.scan(buffer, owed, filled)
            owed = 0
            if beyond >= SPLICED:
                # The header may wait for its payload.
                target.sendall(view[:good], socket.MSG_MORE)
                _spliced(pipe, source, target, beyond, count)
                filled, reach = 0, MESSAGE.size
                continue
            if good:
                target.sendall(view[:good])
                view[: filled - good] = view[good:filled]
                filled -= good
            owed = beyond
            reach = BUFFER
    finally:
        pipe.close()


def _spliced(
    pipe: Pipe, source: socket.socket, target: socket.socket, length: int, count: Callable[[int], None]
) -> None:
    left = length
    while left:
        moved = pipe.pass_on(source.fileno(), target.fileno(), left)
        if not moved:
            return  # the source ended within a payload: the next read says so
        count(moved)
        left -= moved
