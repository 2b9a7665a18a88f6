"""A person as a policy."""
