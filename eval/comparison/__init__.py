"""Whether one policy is better than another on the same tasks, seeds and faults."""
