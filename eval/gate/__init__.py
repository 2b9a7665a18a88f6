"""What a task and the classifier must pass before they are used."""
