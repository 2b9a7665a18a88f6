"""Which traces become examples: selection, decontamination, duplicates, the mix."""
