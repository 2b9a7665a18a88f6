"""What a text says: clauses, statements in them, and the outcome that the whole asserts."""
