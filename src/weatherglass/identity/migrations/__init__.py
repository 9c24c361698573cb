"""Identity's tables, in order (see `engine.tables` for the form)."""
