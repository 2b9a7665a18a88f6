"""The tools of an agent: their declarations, the backends that do the work, and the faults between the two."""
