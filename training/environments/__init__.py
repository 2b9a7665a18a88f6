"""Tasks as environments for trainers that roll out by themselves."""
