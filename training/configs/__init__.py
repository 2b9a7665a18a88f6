"""What trainings and loops are asked to do, checked before anything starts. No torch here."""
