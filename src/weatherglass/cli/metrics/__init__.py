"""The sub-commands of `weatherglass metrics`: one module each, its name the command's (see `nouns`)."""
