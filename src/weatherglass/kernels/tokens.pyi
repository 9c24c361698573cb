from weatherglass.kernels.looks import MOST as MOST
from weatherglass.kernels.looks import NAMES as NAMES
from weatherglass.kernels.looks import Looks

class Tokens(Looks):
    def split(self, message: bytes) -> list[tuple[int, int, int, list[tuple[int, int, int]]]]: ...
