"""The command line: one module a noun in `verbs/`. Live verbs are HTTP clients, doors on files run locally."""
