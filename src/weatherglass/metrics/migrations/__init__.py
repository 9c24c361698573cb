"""Migrations of the metrics tables."""
