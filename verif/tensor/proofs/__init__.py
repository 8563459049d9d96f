"""Properties of the tensor engine's blocks."""
