"""The sub-commands of `weatherglass logs`: one module each, its name the command's (see `nouns`)."""
