"""PSUM in the cycle model: seeds are read for the top of the array, sums stored from its bottom."""

import numpy as np

from golden.kernels import kernel
from golden.tensor import words
from golden.tensor.pes import psum_offset

__all__ = ["access_psum"]


@kernel
def access_psum(rows, memory, seeds, pes, h, cycle):
    """Seeds of ``product_latency`` cycles on, then the stores of this cycle: a read gets what was there before.

    Returns the stores, and of them those that complete an activation row.
    """
    f, ring_mask, cols = h.arithmetic, h.ring_mask, h.cols
    for c in range(cols):
        row = rows[np.uint64((cycle - 1 - c) & ring_mask)]
        if row.valid:
            if row.first:
                seeds[c, 0] = 0
                seeds[c, 1] = 0
            else:
                address = np.uint64(row.address)
                seeds[c, 0] = memory[address, c, 0]
                seeds[c, 1] = memory[address, c, 1]
    stores = completed = 0
    bottom = pes.size - cols * h.pe_words + psum_offset(h)
    for c in range(cols):
        row = rows[np.uint64((cycle - h.store_latency - c) & ring_mask)]
        if row.valid and c < row.columns:
            address = np.uint64(row.address)
            at = bottom + c * h.pe_words
            memory[address, c, 0] = words.load_lo(pes, at, f)
            memory[address, c, 1] = words.load_hi(pes, at, f)
            stores += 1
            completed += c == row.columns - 1
    return stores, completed
