"""One module a verb; `root` finds them by listing this folder."""
