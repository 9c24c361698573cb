"""A raw NFS 4.0 client that can say what no honest one says: made-up handles, any uid. No test here."""

from __future__ import annotations

import socket
import struct

OK, PERM, NOENT, IO, ACCESS, EXIST, ROFS, STALE, BADHANDLE = 0, 1, 2, 5, 13, 17, 30, 70, 10001


def opaque(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


PUTROOT = struct.pack(">I", 24)
GETFH = struct.pack(">I", 10)
GETATTR = struct.pack(">III", 9, 1, 1 << 4)
READ = struct.pack(">I", 25) + bytes(16) + struct.pack(">QI", 0, 4096)
READDIR = struct.pack(">IQ", 26, 0) + bytes(8) + struct.pack(">III", 4096, 8192, 0)


def lookup(name: str) -> bytes:
    return struct.pack(">I", 15) + opaque(name.encode())


def putfh(handle: bytes) -> bytes:
    return struct.pack(">I", 22) + opaque(handle)


def access(bits: int) -> bytes:
    return struct.pack(">II", 3, bits)


def write(data: bytes) -> bytes:
    return struct.pack(">I", 38) + bytes(16) + struct.pack(">QI", 0, 2) + opaque(data)


def mkdir(name: str) -> bytes:
    return struct.pack(">II", 6, 2) + opaque(name.encode()) + struct.pack(">II", 0, 0)


def remove(name: str) -> bytes:
    return struct.pack(">I", 28) + opaque(name.encode())


def chmod(mode: int) -> bytes:
    return (
        struct.pack(">I", 34)
        + bytes(16)
        + struct.pack(">III", 2, 0, 1 << 1)
        + opaque(struct.pack(">I", mode))
    )


class Client:
    """One connection, as a uid and gid of its own choosing."""

    def __init__(self, connected: socket.socket, uid: int = 0, gid: int = 0) -> None:
        self.socket, self.uid, self.gid, self.serial = connected, uid, gid, 1

    def compound(self, *operations: bytes) -> tuple[int, bytes]:
        """(status, the last operation's result where all went well). A closed connection is an OSError."""
        self.serial += 1
        credential = struct.pack(">I", 1) + opaque(b"vm") + struct.pack(">III", self.uid, self.gid, 0)
        head = (
            struct.pack(">IIIIII", self.serial, 0, 2, 100003, 4, 1)
            + struct.pack(">I", 1)
            + opaque(credential)
        )
        body = head + struct.pack(">II", 0, 0) + opaque(b"") + struct.pack(">II", 0, len(operations))
        body += b"".join(operations)
        self.socket.sendall(struct.pack(">I", 0x80000000 | len(body)) + body)
        (length,) = struct.unpack(">I", self._exactly(4))
        reply = self._exactly(length & 0x7FFFFFFF)
        at = 12
        (verifier,) = struct.unpack_from(">I", reply, at + 4)
        at += 8 + verifier + -verifier % 4
        (accepted,) = struct.unpack_from(">I", reply, at)
        if accepted:
            raise OSError(f"the call was not accepted: {accepted}")
        status, tag = struct.unpack_from(">II", reply, at + 4)
        at += 12 + tag + -tag % 4 + 4
        # Each result is a number, a status and a body; only operations without a body come before the last one.
        return status, b"" if status else reply[at + 8 * len(operations) :]

    def handle(self, *names: str) -> tuple[int, bytes]:
        """The file handle of a path below the server's root."""
        status, result = self.compound(PUTROOT, *map(lookup, names), GETFH)
        if status:
            return status, b""
        (length,) = struct.unpack_from(">I", result)
        return status, result[4 : 4 + length]

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self.socket.recv(length - len(data))
            if not more:
                raise OSError("the server closed the connection")
            data += more
        return data

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
