"""What an evaluation writes for others to read, and whom it names there."""
