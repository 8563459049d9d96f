"""Matrices turned around."""

from kernels import kernel
from kernels import language as nl

__all__ = ["transpose"]


@kernel
def transpose(x):
    """[M, N] of any type to [N, M], bits unchanged: rows come to lanes, and leave them as columns."""
    out = nl.output(x.shape[::-1], x.dtype)
    for rows in nl.blocks(x.shape[0]):
        nl.store(out[:, rows].T, nl.load(x[rows]))
