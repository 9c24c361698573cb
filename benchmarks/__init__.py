"""Figures that the docs quote, each from a program that starts the peer and us in one run. `python -m benchmarks`."""
