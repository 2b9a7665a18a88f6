"""Traces: one episode as it went, its record, its schema, its identity, its proof by replay."""
