"""Partial-sum memory under the array and the read-out behind it."""
