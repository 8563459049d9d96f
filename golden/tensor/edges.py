"""What enters the array of the cycle model: activation rows from the west, weights from the north.

What was taken in a cycle stands in rings, at ``cycle & ring_mask``: nothing is shifted on its way to a lane or a
column, but looked up where it was entered.
"""

import numpy as np

from golden.kernels import kernel

__all__ = ["TAG_ENABLE", "TAG_LOAD", "TAG_SWAP", "TAG_VALID", "decode", "enter_row", "find_edges"]

# Tags of a beat and, the first two, of a product.
TAG_VALID, TAG_ENABLE, TAG_SWAP, TAG_LOAD = 1, 2, 4, 8


@kernel
def decode(beat, code_bits, table, operands):
    """The operands of a beat's lanes, by a table of one format."""
    mask = (1 << code_bits) - 1
    for lane in range(operands.size):
        bit = lane * code_bits
        operands[lane] = table[np.int64(beat[bit >> 5]) >> (bit & 31) & mask]


@kernel
def enter_row(row, orders, executor, taken, pass_ends, depth):
    """Note the activation row that is taken in this cycle, and how it is read out where its pass is the last."""
    address = (executor.base + taken) & (depth - 1)
    row.valid = 1
    row.swap = taken == 0
    row.address = address
    row.first = executor.first
    row.last = executor.last
    row.lanes = executor.tile_k
    row.columns = executor.tile_n
    if executor.last:
        order = orders[address]
        order.columns = executor.tile_n
        order.out_format = executor.out_format
        order.saturate = executor.saturate
        order.end = pass_ends


@kernel
def find_edges(rows, row_operands, weight_rows, weight_operands, west, north, h, cycle):
    """What enters every lane (packed as a beat) and every column (an operand) in this cycle."""
    for r in range(west.size):
        entry = np.uint64((cycle - r * h.add_latency) & h.ring_mask)
        row = rows[entry]
        beat = np.int64(0)
        if row.valid:
            beat = row_operands[entry, r] << 4 | TAG_VALID
            beat |= TAG_ENABLE if r < row.lanes else 0
            beat |= TAG_SWAP if row.swap else 0
        west[r] = beat | (TAG_LOAD if weight_rows[entry] == r // h.load_rows else 0)
    for c in range(north.size):
        entry = np.uint64((cycle - c) & h.ring_mask)
        north[c] = weight_operands[entry, c] if weight_rows[entry] >= 0 else 0
