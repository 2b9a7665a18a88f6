"""Running reference solutions: from the start, from any point, and to find which schedules are feasible."""
