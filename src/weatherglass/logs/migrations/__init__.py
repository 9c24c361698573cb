"""Migrations of the logs' catalogue."""
