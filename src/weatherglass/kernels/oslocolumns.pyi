from collections.abc import Callable, Collection
from typing import Any

NO_CONTEXT: int
PLAIN: int
GLOBAL: int
EMPTY: int
DASH: int
NONE: int

def columns(
    texts: list[str],
    levels: frozenset[str],
    meet_day: Callable[[str], int],
    place_of: Callable[[str], object],
    requests: tuple[Collection[str], Collection[str], Callable[[str], object]],
) -> dict[str, Any]: ...
