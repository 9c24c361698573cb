from typing import Final

MOST: Final[int]
NAMES: Final[tuple[str, ...]]

class Tokens:
    def split(self, message: bytes) -> list[tuple[int, int, int, list[tuple[int, int, int]]]]: ...
