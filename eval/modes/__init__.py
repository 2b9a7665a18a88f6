"""Failure modes: deterministic rules, each with its evidence."""
