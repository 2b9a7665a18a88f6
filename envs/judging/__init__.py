"""Verdicts: goals, and what a final text asserts."""
