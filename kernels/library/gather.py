"""Rows of a table by their numbers."""

from kernels import kernel
from kernels import language as nl

__all__ = ["gather_rows"]


@kernel
def gather_rows(table, ids):
    """``table[ids]`` of [V, D] and u32[T]: [T, D]. A number of V or more stops the program."""
    out = nl.output((ids.shape[0], table.shape[1]), table.dtype)
    for rows in nl.blocks(ids.shape[0]):
        nl.store(out[rows], nl.gather(table, nl.load(ids[rows])))
