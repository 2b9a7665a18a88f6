"""Going back to a step of a stored trace, and going on in another way."""
