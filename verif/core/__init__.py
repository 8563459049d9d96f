"""Verification of the core: the engines around the tensor engine, and what they are made of."""
