"""Migrations of deploy's tables, one line: 0001, 0002 and so on."""
