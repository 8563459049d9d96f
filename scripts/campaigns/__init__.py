"""Runs of many GEMMs, mutants or proofs, and their verdicts."""
