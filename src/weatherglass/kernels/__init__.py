"""The few hot loops, compiled from pure-Python-mode Cython: wire decoding, chunk coding, the head, stitching.

No I/O, no policy: arrays and bytes in, arrays and bytes out. What comes from outside is bounds-checked and
ends in `Invalid`. Not here: anything that need not be fast.
"""

from importlib.util import find_spec

if find_spec("weatherglass.kernels.wire").origin.endswith(".py"):  # type: ignore[union-attr]
    raise ImportError(
        "weatherglass.kernels is not compiled: run `python setup.py build_ext --inplace` (needs gcc)"
    )
