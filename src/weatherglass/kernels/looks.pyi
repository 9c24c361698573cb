from typing import Final

MOST: Final[int]
VALUES: Final[int]
NAMES: Final[tuple[str, ...]]

class Looks: ...
