from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
Token = tuple[int, int, int, bool, tuple[tuple[int, int, int], ...]]

class Matcher:
    def __len__(self) -> int: ...
    def add_exact(self, group: int, whole: int, id: int, plan: list[int], pieces: list[bytes]) -> None: ...
    def add_free(
        self, group: int, structure: int, fixed: list[int], id: int, plan: list[int], pieces: list[bytes]
    ) -> None: ...
    def match(
        self,
        groups: Sequence[str],
        messages: list[str],
        numbers: dict[str, int],
        rest: Callable[[str, int], int] | None,
    ) -> tuple[I64, I64, I64, bytes, I64, list[int]]: ...
    def look(self, message: bytes) -> tuple[int, int, bool, list[Token]]: ...
