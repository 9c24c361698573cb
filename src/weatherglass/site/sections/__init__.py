"""One module a section of the declaration, each with a `SECTION`; found by listing this package."""
