"""Preference pairs: right and wrong continuations of one prefix, balanced and audited."""
