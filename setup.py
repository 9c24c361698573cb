"""Compiles the kernels. Everything else about the package is in pyproject.toml."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = sorted(p for p in Path("src/weatherglass/kernels").glob("*.py") if p.stem != "__init__")

setup(
    ext_modules=cythonize(
        [Extension(f"weatherglass.kernels.{p.stem}", [str(p)], extra_compile_args=["-O3"]) for p in KERNELS],
        language_level=3,
        build_dir="build/kernels",
    )
)
