"""Samples → log → head → chunks; the series index; PromQL."""
