"""Kernels that others are made of."""
