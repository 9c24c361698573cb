"""The migrations of Gnocchi's tables, one a file, in order of their numbers."""
