"""The command line: one verb per file, named after the verb; `main` finds and runs them."""
