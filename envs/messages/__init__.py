"""What passes between a policy and an environment, and its text form."""
