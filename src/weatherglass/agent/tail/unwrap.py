"""Lines of a container's log as podman writes them (k8s-file: `<time> stdout F <text>`) → the text itself.

`P` marks a part of a line: the next one goes on. Reversible in length: it knows how many bytes of the file the
last characters of the text came from, so that cursors stay exact.
"""

from __future__ import annotations

import re
from collections import deque

_LINE = re.compile(r"\d{4}-\S+ std(?:out|err) ([FP]) (.*)", re.DOTALL)


def byte_length(text: str) -> int:
    """Bytes of decoded text in its file."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


class Unwrap:
    """One file's lines, in order."""

    def __init__(self) -> None:
        self._partial = ""
        self._pieces: deque[tuple[int, int]] = deque()  # (characters given, bytes of the file)

    def feed(self, text: str, final: bool = False) -> str:
        """The text of the lines that are complete; with `final`, of what is left as well."""
        *lines, self._partial = (self._partial + text).split("\n")
        out = [self._line(line + "\n") for line in lines]
        if final and self._partial:
            out.append(self._line(self._partial))
            self._partial = ""
        return "".join(out)

    def _line(self, raw: str) -> str:
        found = _LINE.fullmatch(raw)
        text = raw if found is None else found[2]
        if found is not None and found[1] == "P":
            text = text.removesuffix("\n")
        self._pieces.append((len(text), byte_length(raw)))
        return text

    def bytes_behind(self, characters: int) -> int:
        """Bytes of the file that hold the last `characters` of what was given, and what is not given yet."""
        count, taken = byte_length(self._partial), 0
        while taken < len(self._pieces) and characters > 0:
            taken += 1
            given, raw = self._pieces[-taken]
            characters -= given
            count += raw
        while len(self._pieces) > taken:
            self._pieces.popleft()
        return count
