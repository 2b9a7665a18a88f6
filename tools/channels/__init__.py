"""The backends that do the work: HTTP services, SQL, search."""
