"""Verification: the RTL is replayed against traces of the golden model, every signal in every cycle."""
