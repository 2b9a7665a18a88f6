"""Worlds: their state, their names, what changed in them."""
