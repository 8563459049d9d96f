"""What is proved of the core's blocks."""
