"""Lines of a container's log as podman writes them (k8s-file: `<time> stdout F <text>`) → the text itself, and when
it was written: many a line has no time of its own, and may be read long after.

`P` marks a part of a line: the next one goes on. Reversible in length: it knows how many bytes of the file the
last characters of the text came from, so that cursors stay exact.
"""

from __future__ import annotations

import re
from collections import deque
from datetime import datetime

from weatherglass.base.time import SECOND_NS

_LINE = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) std(?:out|err) ([FP]) (.*)", re.DOTALL
)


def byte_length(text: str) -> int:
    """Bytes of decoded text in its file."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


class Unwrap:
    """One file's lines, in order."""

    def __init__(self) -> None:
        self._partial = ""
        self._pieces: deque[tuple[int, int]] = deque()  # (characters given, bytes of the file)
        self._second = ("", 0)  # the last one that was read, and its ns since the epoch

    def feed(self, text: str, final: bool = False) -> list[tuple[str, int | None]]:
        """Text, and its time in ns since the epoch, of the lines that are complete; with `final`, of what is left as well."""
        *lines, self._partial = (self._partial + text).split("\n")
        out = [self._line(line + "\n") for line in lines]
        if final and self._partial:
            out.append(self._line(self._partial))
            self._partial = ""
        return out

    def _line(self, raw: str) -> tuple[str, int | None]:
        found = _LINE.fullmatch(raw)
        text = raw if found is None else found[5]
        if found is not None and found[4] == "P":
            text = text.removesuffix("\n")
        self._pieces.append((len(text), byte_length(raw)))
        return text, self._time(found[1] + found[3], found[2] or "") if found else None

    def _time(self, second: str, fraction: str) -> int | None:
        if second != self._second[0]:
            try:
                self._second = second, int(datetime.fromisoformat(second).timestamp()) * SECOND_NS
            except ValueError:
                return None
        return self._second[1] + int(fraction.ljust(9, "0"))

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
