"""Runs to data sets on disk, with their cards."""
