"""Mutants of the tensor engine's modules, and the proofs that those left are none."""
