"""The laboratory: it measures faultgym from outside the package; `faultgym bench` runs it from a checkout."""
