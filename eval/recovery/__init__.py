"""What became of each delivered fault."""
