"""How reference solutions act: one call at a time, recovering by the contracts."""
