"""The built-in kinds of faults, a module for each family."""
