from collections.abc import Callable, Mapping
from typing import Any

Row = tuple[int, str, str, str, str, Mapping[str, Any] | None]
Key = tuple[str, str, str]

def reader(
    levels: dict[str, str],
    millis: dict[str, int],
    seconds: dict[str, int],
    loggers: set[str],
    known: dict[Key, dict[str, Any]],
    meet_second: Callable[[str], int],
    meet_logger: Callable[[str], bool],
    meet: Callable[[Key], dict[str, Any] | None],
    request_fields: Callable[[str], Mapping[str, Any]],
    place_of: Callable[[str], tuple[int, Mapping[str, Any]] | None],
) -> Callable[[str], Row | None]: ...
def requests(
    methods: dict[str, str],
    protocols: dict[str, str],
    statuses: dict[str, int],
    seconds: Callable[[str], object],
    remote: Callable[[str], object],
) -> Callable[[str], dict[str, Any] | None]: ...
