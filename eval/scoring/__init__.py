"""Scores of traces, and what many of them say together."""
