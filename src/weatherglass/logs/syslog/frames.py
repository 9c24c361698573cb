"""Bytes of one TCP connection → messages. Pure.

Both framings of RFC 6587, told apart message by message: a digit begins a count of octets, anything else a message
that ends in a line feed (or NUL, as some senders end it).
"""

from __future__ import annotations

import re

MOST = 256 * 1024
"""Octets of a message; what is longer is cut there, and its rest is a message of its own."""

_COUNT = re.compile(rb"([1-9]\d{0,8}) ")
_END = re.compile(rb"[\n\0]")


class Frames:
    """Feeds on what one connection sends. Nothing is lost: what was fed is given out, in order, but for the framing."""

    def __init__(self) -> None:
        self._held = b""
        self._left = 0  # octets of a counted message that are still to come, beyond what was cut

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes."""
        held, found, at = self._held + data, [], 0
        while at < len(held):
            if self._left:
                size = min(self._left, MOST)
                if len(held) - at < size:
                    break
                found.append(held[at : at + size])
                at, self._left = at + size, self._left - size
                continue
            count = _COUNT.match(held, at)
            if count:
                self._left, at = int(count[1]), count.end()
                continue
            if held[at : at + 1].isdigit() and len(held) - at < 11 and held[at:].isdigit():
                break  # a count may still be going on
            end = _END.search(held, at, at + MOST + 1)
            if end is None:
                if len(held) - at <= MOST:
                    break
                found.append(held[at : at + MOST])
                at += MOST
                continue
            if end.start() > at:
                found.append(held[at : end.start()])
            at = end.end()
        self._held = held[at:]
        return found

    def end(self) -> list[bytes]:
        """What is left when the connection is closed: a message whose end did not come."""
        held, self._held, self._left = self._held, b"", 0
        return [held] if held else []
