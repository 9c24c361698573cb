"""The engine's own tables, in order (see `engine.tables` for the form)."""
