"""What the machinery must know of the core."""
