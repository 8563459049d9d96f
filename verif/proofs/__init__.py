"""Proofs about any module: the model in bit vectors, induction, the solver."""
