"""The read-out of the cycle model: finished rows of PSUM, rounded and converted, to the result port.

It moves by advances, since a stalled sink holds all of it. Column 0 reads a row in advance a, column c in advance
a + c, and the row is on the port after advance a + stages - 1.
"""

import numpy as np

from golden.kernels import kernel
from golden.tensor import rounding

__all__ = ["advance_readout"]


@kernel
def advance_readout(n, memory, orders, stages, stage_words, read_words, result, narrow, read, h):
    """One advance; True if the last column has read its row, which frees it in PSUM."""
    slot, oldest = n.advances % stages.size, (n.advances + 1) % stages.size
    stages[slot].valid = read
    if read:
        stages[slot] = orders[n.read_row]
        stages[slot].valid = 1
        stages[slot].address = n.read_row
        n.read_row = (n.read_row + 1) & (h.depth - 1)
    _read_columns(memory, n.advances, stages, stage_words, read_words, narrow, h)
    n.result_valid = stages[oldest].valid
    result[:] = 0
    if stages[oldest].valid:
        result[: h.cols] = stage_words[oldest]
        result[h.cols] = stages[oldest].end
    n.advances += 1
    return stages[(n.advances - h.cols) % stages.size].valid != 0


@kernel
def _read_columns(memory, advances, stages, stage_words, read_words, narrow, h):
    """What each column reads in an advance, rounded and converted: column c what column 0 read c advances ago."""
    for c in range(read_words.shape[0]):
        slot = (advances - c) % stages.size
        stage = stages[slot]
        if not stage.valid:
            continue
        lo, hi = memory[stage.address, c, 0], memory[stage.address, c, 1]
        read_words[c, 0], read_words[c, 1] = lo, hi
        code = np.int64(0)
        if c < stage.columns:
            fp32 = rounding.round_psum(lo, hi, h.arithmetic)
            code = rounding.narrow(fp32, narrow[stage.out_format], stage.saturate)
        stage_words[slot, c] = code
