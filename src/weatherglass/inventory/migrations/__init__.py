"""The inventory's migrations, one a file, in order of their numbers."""
