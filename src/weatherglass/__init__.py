"""Weatherglass: declare → deploy → observe → diagnose → act, in one house."""

__version__ = "0.1.0"
