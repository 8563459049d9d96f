"""Who may send, what moves, and the counters that say so: the sequencer of the cycle model."""

from typing import NamedTuple

import numpy as np

from golden.kernels import kernel

__all__ = ["ACTIVATION", "COMMAND", "WEIGHT", "Moves", "clock_sequencer", "decide", "drained", "noise", "present"]

# Streams, in the order of a record.
COMMAND, WEIGHT, ACTIVATION = range(3)


class Moves(NamedTuple):
    """What may happen in a cycle, and what does."""

    command_ready: bool
    weight_ready: bool
    row_ready: bool
    result_ready: bool
    command: bool  # a command is taken,
    load: bool  # a weight beat is,
    take: bool  # an activation row is
    pass_ends: bool  # and it is the last of its pass
    hand_over: bool  # the loader's command goes to the executor
    advance: bool  # the read-out moves
    read: bool  # and column 0 reads a row


@kernel
def noise(seed, cycle):
    """64 fresh bits a cycle, a function of the two numbers alone (the finaliser of splitmix64)."""
    z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(cycle + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(z ^ (z >> np.uint64(31)))


@kernel
def present(presented, position, sizes, quiet, bits):
    """Let each source that does not idle offer its next beat; one that is offered stays. True if the sink is ready.

    ``quiet``: int64[4], the three sources' probability of idling and the sink's of stalling, in 1/65536.
    """
    for i in range(3):
        if position[i] < sizes[i] and (bits >> 16 * i & 0xFFFF) >= quiet[i]:
            presented[i] = 1
    return (bits >> 48 & 0xFFFF) >= quiet[3]


@kernel
def decide(n, loader, executor, presented, result_ready, h):
    """The handshakes of a cycle, and what follows from them."""
    executing = n.executor_valid != 0
    if executor.first:
        row_ready = executing and n.occupied < h.depth
    else:
        row_ready = executing and n.in_flight < executor.distance
    take = row_ready and presented[ACTIVATION] != 0
    pass_ends = take and n.taken + 1 == executor.tile_m

    # The shadow weights are free once the executor's first row has swapped its own in.
    plane_free = not executing or n.taken > 0 or take
    loading = n.loader_valid != 0
    beats_due = (loader.tile_k + h.load_rows - 1) // h.load_rows
    weight_ready = loading and n.loaded < beats_due and plane_free
    load = weight_ready and presented[WEIGHT] != 0

    hand_over = loading and n.loaded + load == beats_due and (not executing or pass_ends)
    command_ready = not loading or hand_over
    command = command_ready and presented[COMMAND] != 0
    advance = n.result_valid == 0 or result_ready
    read = advance and n.rows_ready > 0
    return Moves(
        command_ready, weight_ready, row_ready, result_ready, command, load, take, pass_ends, hand_over, advance, read
    )


@kernel
def clock_sequencer(n, loader, executor, presented, position, commands, moves):
    """Commands, and what has been taken of the streams."""
    if moves.take:
        n.taken += 1
        n.last_take = n.cycle
        if moves.pass_ends:
            n.executor_valid = 0
    if moves.load:
        n.loaded += 1
        if n.first_weight < 0:
            n.first_weight = n.cycle
    if moves.hand_over:
        executor[0] = loader[0]
        n.executor_valid = 1
        n.taken = 0
        n.loader_valid = 0
    if moves.command:
        loader[0] = commands[position[COMMAND]]
        n.loader_valid = 1
        n.loaded = 0
    for i, done in enumerate((moves.command, moves.load, moves.take)):
        if done:
            position[i] += 1
            presented[i] = 0


@kernel
def drained(n, position, stages, sizes, drain_latency):
    """True if nothing is waiting and nothing is under way."""
    if n.loader_valid or n.executor_valid or n.rows_ready or n.result_valid:
        return False
    for i in range(3):
        if position[i] < sizes[i]:
            return False
    # The stage that the next advance fills holds what has left already.
    for i in range(stages.size):
        if stages[i].valid and i != n.advances % stages.size:
            return False
    return n.last_take < 0 or n.cycle - n.last_take > drain_latency
