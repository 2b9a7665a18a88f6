"""Faults: their kinds, the plans that say when they strike, and the layer that injects them."""
