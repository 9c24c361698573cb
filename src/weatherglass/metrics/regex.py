"""Regular expressions as Prometheus has them: RE2's syntax, matched whole, the dot matching a newline.

RE2 runs in time linear in the text, so no tenant's pattern can hang the store; Python's own can backtrack without
bound.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from weatherglass.base.errors import Invalid

_QUIET = re2.Options()
_QUIET.log_errors = False


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """A compiled pattern with `fullmatch`. Raises Invalid for what RE2 refuses, or finds too large."""
    try:
        return re2.compile(f"(?s:{pattern})", _QUIET)
    except (re2.error, UnicodeEncodeError) as error:
        told = error.args[0] if error.args else error
        reason = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
        raise Invalid(f"{pattern[:80]!r} is not a regular expression: {reason}", mend="RE2 syntax") from error
