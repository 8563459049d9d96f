"""The kernel of ``golden.tensor.engine``: one clock cycle after another, as docs/architecture.md says.

Within a cycle the order is: handshakes, what enters, the record, the read-out, PSUM, the PEs, the sequencer. Each part
works on what the cycle began with, but for this: a row taken in the cycle enters the array in it.
"""

import numpy as np

from golden.kernels import kernel
from golden.tensor.bank import access_psum
from golden.tensor.edges import decode, enter_row, find_edges
from golden.tensor.pes import clock_pes
from golden.tensor.readout import advance_readout
from golden.tensor.recording import put_array, put_ports, put_psum, put_readout
from golden.tensor.sequencer import ACTIVATION, WEIGHT, clock_sequencer, decide, drained, noise, present

__all__ = ["run"]


@kernel
def run(h, tables, s, q, trace, registers, seed, quiet, until_done):
    """Simulate ``len(trace)`` cycles, or fewer with ``until_done``; returns how many. :func:`present` has ``quiet``."""
    # Once, here: taking an array out of a tuple costs as much as a PE.
    n, loaders, executors = s.counters[0], s.loader, s.executor
    loader, executor = loaders[0], executors[0]
    presented, position, rows, row_operands = s.presented, s.position, s.rows, s.row_operands
    weight_rows, weight_operands, pes, seeds = s.weight_rows, s.weight_operands, s.pes, s.seeds
    memory, orders, result = s.memory, s.orders, s.result
    stages, stage_words, read_words = s.stages, s.stage_words, s.read_words
    products, sums, narrow, operands = s.products, s.sums, tables.narrow, tables.operands
    commands, weights, activations, command_fields = q.commands, q.weights, q.activations, q.command_fields
    sizes = (commands.shape[0], weights.shape[0], activations.shape[0])
    west, north = np.zeros(h.rows, np.int64), np.zeros(h.cols, np.int64)
    for index in range(trace.shape[0]):
        if until_done and drained(n, position, stages, sizes, h.drain_latency):
            return index
        cycle = n.cycle
        entry = cycle & h.ring_mask
        result_ready = present(presented, position, sizes, quiet, noise(seed, cycle))
        moves = decide(n, loader, executor, presented, result_ready, h)
        record = trace[index]
        at = put_ports(record, presented, position, commands, weights, activations, moves, n.result_valid, result)

        row = rows[entry]
        row.valid = 0
        if moves.take:
            enter_row(row, orders, executor, n.taken, moves.pass_ends, h.depth)
            beat = activations[position[ACTIVATION]]
            decode(beat, h.code_bits, operands[executor.x_format], row_operands[entry])
        weight_rows[entry] = -1
        if moves.load:
            weight_rows[entry] = n.loaded
            beat = weights[position[WEIGHT]]
            decode(beat, h.code_bits, operands[loader.w_format], weight_operands[entry])
        find_edges(rows, row_operands, weight_rows, weight_operands, west, north, h, cycle)

        arrived, asked = seeds[cycle % seeds.shape[0]], seeds[(cycle + h.product_latency) % seeds.shape[0]]
        if registers:
            at = put_array(record, at, pes, west)
            at = put_psum(record, at, weight_rows, weight_operands, arrived, rows, memory, h, cycle)
            put_readout(record, at, n, orders, stages, read_words, row, moves, h)

        freed = moves.advance and advance_readout(
            n, memory, orders, stages, stage_words, read_words, result, narrow, moves.read, h
        )
        stores, completed = access_psum(rows, memory, asked, pes, h, cycle)
        if stores:
            n.last_store = cycle
            n.rows_stored += completed
        clock_pes(pes, arrived, west, north, weight_rows, weight_operands, products, sums, h, cycle)

        # The sums of one row can be added to from now on, those of another be read out.
        n.in_flight += moves.take - rows[(cycle - h.store_latency + 1) & h.ring_mask].valid
        n.occupied += (moves.take and executor.first != 0) - freed
        stored = rows[(cycle + 1 - h.read_latency) & h.ring_mask]
        n.rows_ready += (stored.valid & stored.last) - moves.read
        clock_sequencer(n, loaders, executors, presented, position, command_fields, moves)
        n.cycle = cycle + 1
    return trace.shape[0]
