"""What the cycle model writes to a record: ``golden`` values of the fields that ``arch.tensor.signals`` lists."""

import numpy as np

from golden.kernels import kernel
from golden.tensor import words
from golden.tensor.edges import TAG_ENABLE
from golden.tensor.pes import put_weights

__all__ = ["put_array", "put_ports", "put_psum", "put_readout"]


@kernel
def _put_beat(record, at, valid, beats, position):
    """Write one stream's ``valid`` and payload; returns where the next field goes."""
    record[at] = valid
    words = beats.shape[1]
    for i in range(words):
        record[at + 1 + i] = beats[position, i] if valid else np.uint32(0)
    return at + 1 + words


@kernel
def _put_sum(record, at, present, lo, hi, f):
    """Write a psum, 0 unless it is there; returns where the next field goes."""
    words.store(record, at, lo if present else 0, hi if present else 0, f)
    return at + f.psum_words


@kernel
def put_ports(record, presented, position, commands, weights, activations, moves, result_valid, result):
    """Write the ports, from the first word on; returns where the next field goes."""
    at = _put_beat(record, 0, presented[0], commands, position[0])
    at = _put_beat(record, at, presented[1], weights, position[1])
    at = _put_beat(record, at, presented[2], activations, position[2])
    record[at] = moves.result_ready
    record[at + 1] = moves.command_ready
    record[at + 2] = moves.weight_ready
    record[at + 3] = moves.row_ready
    record[at + 4] = result_valid
    at += 5
    for i in range(result.size):
        record[at + i] = result[i]
    return at + result.size


@kernel
def put_array(record, at, pes, west):
    """Write the PEs and what enters their rows; returns where the next field goes."""
    for i in range(pes.size):
        record[at + i] = pes[i]
    at += pes.size
    for r in range(west.size):
        # An operand that is not enabled does not matter.
        record[at + r] = west[r] if west[r] & TAG_ENABLE else west[r] & 15
    return at + west.size


@kernel
def put_psum(record, at, weight_rows, weight_operands, seeds, rows, memory, h, cycle):
    """Write what enters the columns and what goes on at their PSUM; returns where the next field goes."""
    f, ring_mask = h.arithmetic, h.ring_mask
    for c in range(h.cols):
        put_weights(record, at, weight_rows, weight_operands, np.uint64((cycle - c) & ring_mask), c, 0, h)
        at += h.weight_words
        asking = rows[np.uint64((cycle - 1 - c) & ring_mask)]
        record[at] = 0
        if asking.valid:
            record[at] = 1 if asking.first else 3 | asking.address << 2
        used = rows[np.uint64((cycle - 1 - h.product_latency - c) & ring_mask)].valid != 0
        at = _put_sum(record, at + 1, used, seeds[c, 0], seeds[c, 1], f)
        storing = rows[np.uint64((cycle - h.store_latency - c) & ring_mask)]
        record[at] = 1 | storing.address << 1 if storing.valid and c < storing.columns else 0
        stored = rows[np.uint64((cycle - 1 - h.store_latency - c) & ring_mask)]
        word = memory[np.uint64(stored.address), c]
        at = _put_sum(record, at + 1, stored.valid != 0, word[0], word[1], f)
    return at


@kernel
def put_readout(record, at, n, orders, stages, read_words, row, moves, h):
    """Write what the columns have read, and the orders that are given, asked for and found, to the last word."""
    # What column c gives was read in the last advance, and its row by column 0 c advances before.
    for c in range(h.cols):
        seen = stages[(n.advances - 1 - c) % stages.size].valid != 0
        at = _put_sum(record, at, seen, read_words[c, 0], read_words[c, 1], h.arithmetic)
    record[at] = 0
    if moves.take and row.last:
        record[at] = 1 | row.address << 1 | _mode(orders[row.address], h) << h.mode_at
    record[at + 1] = 1 | n.read_row << 1 if moves.read else 0
    second = stages[(n.advances - 2) % stages.size]
    record[at + 2] = _mode(second, h) if second.valid else 0


@kernel
def _mode(read, h):
    """``readout_layout``."""
    return read.columns | read.end << h.end_at | read.out_format << h.format_at | read.saturate << h.saturate_at
