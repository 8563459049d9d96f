"""SBUF in the cycle model: who is granted, what is read, what is written."""

import numpy as np

from golden.kernels import kernel

__all__ = ["clock_sbuf", "grant"]


@kernel
def grant(ports, bank_shift):
    """One port of each bank, the first that is valid."""
    busy = np.int64(0)
    for index in range(ports.size):
        port = ports[index]
        bank = np.int64(1) << (port.row >> bank_shift)
        port.grant = port.valid and not busy & bank
        if port.valid:
            busy |= bank


@kernel
def clock_sbuf(sbuf):
    """At the edge: what was granted is read, then written: a read gets what was there before."""
    memory, read_data, fresh, reads = sbuf.memory, sbuf.read_data, sbuf.fresh, sbuf.reads
    for index in range(reads.size):
        port = reads[index]
        if port.grant:
            read_data[index] = memory[port.row]
        elif fresh[index]:
            read_data[index] = 0
        fresh[index] = port.grant
    data, enable, writes = sbuf.write_data, sbuf.write_enable, sbuf.writes
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
