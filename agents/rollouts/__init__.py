"""Playing episodes: one, many at once, in many processes, on many machines."""
