from collections.abc import Callable
from typing import Any

def heads(times_ms: Any) -> tuple[bytes, Any]: ...
def cells(
    begun: bytes,
    ends: Any,
    texts: bytes,
    values: Any,
    present: Any,
    number: Callable[[float], str],
) -> bytearray: ...
