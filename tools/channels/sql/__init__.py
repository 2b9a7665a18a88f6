"""The SQL tool: a guarded SQLite connection and what its statements may touch."""
