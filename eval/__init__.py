"""What episodes are worth: scores, recovery, failure modes, and the comparison of policies."""
