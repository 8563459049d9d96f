"""The check of the tensor engine and its blocks."""
