"""SBUF in the cycle model: who is granted, what is read, what is written."""

import numpy as np

from golden.kernels import borrowing_kernel

__all__ = ["clock_sbuf", "grant"]


@borrowing_kernel
def grant(ports, stopped, h):
    """One port of each bank, the first that asks; returns the first that names a row that there is not, or -1."""
    busy, bad = np.int64(0), np.int64(-1)
    for index in range(ports.size):
        port = ports[index]
        port.grant = 0
        if not port.valid:
            continue
        if port.row >= h.sbuf_rows:
            bad = index if bad < 0 else bad
        elif not stopped:
            bank = np.int64(1) << (port.row >> h.bank_shift)
            port.grant = busy & bank == 0
            busy |= bank
    return bad


@borrowing_kernel
def clock_sbuf(memory, reads, read_data, writes, data, enable):
    """At the edge: what was granted is read, then written: a read gets what was there before."""
    for index in range(reads.size):
        port = reads[index]
        if port.grant:
            for lane in range(memory.shape[1]):
                read_data[index, lane] = memory[port.row, lane]
        port.fresh = port.grant
    for index in range(writes.size):
        port = writes[index]
        if not port.grant:
            continue
        for lane in range(memory.shape[1]):
            bits = enable[index, lane]
            if bits == 15:
                memory[port.row, lane] = data[index, lane]
            elif bits:
                mask = np.uint32(0)
                for byte in range(4):
                    mask |= np.uint32((bits >> byte & 1) * (255 << 8 * byte))
                memory[port.row, lane] = (memory[port.row, lane] & ~mask) | (data[index, lane] & mask)
