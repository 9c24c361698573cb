"""What a Python traceback says: its lines → the exception that was raised last. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

BEGIN = "Traceback (most recent call last):"
_CLASS = re.compile(r"([A-Za-z_][\w.]*)(?:: ?(.*))?$", re.DOTALL)
_NOT_A_CLASS = ("During handling of", "The above exception", "[SQL: ", "[parameters: ", "(Background on")


def exception_of(lines: Sequence[str]) -> dict[str, str]:
    """`exception` (its class, dotted) and `exception_message` of the last traceback; empty when there is none.

    Lines come without a logger's prefix and without line ends. An exception logged without frames is its
    first line that looks like one.
    """
    at = next((number for number in range(len(lines) - 1, -1, -1) if lines[number] == BEGIN), -1)
    for number in range(at + 1, len(lines)):
        line = lines[number]
        if not line or line[0].isspace() or line.startswith(_NOT_A_CLASS):
            continue
        found = _CLASS.match(line)
        if found is None:
            continue
        message = [found[2] or ""]
        for more in lines[number + 1 :]:
            if not more or more.startswith(_NOT_A_CLASS):
                break
            message.append(more)
        fields = {"exception": found[1]}
        text = "\n".join(message).strip()
        if text:
            fields["exception_message"] = text
        return fields
    return {}
