"""The dispatcher of the cycle model, and the queues of instructions."""

import numpy as np

from arch.core.instructions import INSTRUCTION_BYTES, OPCODES, QUEUES
from arch.core.timing import FETCH_DEPTH
from golden.core.cycles.fields import DMA, decode_fields
from golden.kernels import kernel

__all__ = ["clock_dispatch", "decide_dispatch", "fetches", "may_start", "program_done", "take_head"]

_DMA, _MATMUL, _SCALAR = OPCODES["dma"], OPCODES["matmul"], OPCODES["scalar"]
_QUEUE = DMA.names.index("queue")
_FIRST_WAIT = DMA.names.index(f"wait_{QUEUES[0]}")
_TENSOR, _VECTOR, _SCALARS, _DMAS = 0, 1, 2, 3


@kernel
def may_start(dispatch, queue):
    """Whether a queue has a head, and what it waits for is complete."""
    if dispatch.levels[queue] == 0:
        return False
    remaining = dispatch.remaining[queue, dispatch.heads[queue]]
    for other in range(remaining.size):
        if remaining[other]:
            return False
    return True


@kernel
def take_head(dispatch, queue, slots):
    """At the edge: the head leaves its queue for the engine's instruction, int64[fields]."""
    slots[:] = dispatch.entries[queue, dispatch.heads[queue], : slots.size]
    dispatch.heads[queue] = (dispatch.heads[queue] + 1) % dispatch.entries.shape[1]
    dispatch.levels[queue] -= 1


@kernel
def fetches(state, h):
    """Whether a burst is asked for."""
    return state.left > 0 and state.pending + h.fetch_beats <= FETCH_DEPTH * h.fetch_beats


@kernel
def program_done(dispatch):
    """Nothing is left of a program that was running."""
    state = dispatch.state[0]
    if not state.running or state.left or state.pending or state.parts:
        return False
    for queue in range(dispatch.outstanding.size):
        if dispatch.outstanding[queue]:
            return False
    return True


@kernel
def decide_dispatch(dispatch, h):
    """Whether an instruction leaves in this cycle, and for which queue."""
    state = dispatch.state[0]
    state.leaves = state.parts == h.fetch_beats and dispatch.levels[state.target] < h.queue_depth


@kernel
def _give(dispatch):
    """The instruction that leaves goes to the end of its queue, with what it waits for."""
    state = dispatch.state[0]
    queue = state.target
    slot = (dispatch.heads[queue] + dispatch.levels[queue]) % dispatch.entries.shape[1]
    dispatch.entries[queue, slot] = dispatch.decoded
    for other in range(dispatch.outstanding.size):
        wait = dispatch.decoded[_FIRST_WAIT + other]
        remaining = dispatch.outstanding[other] - wait + 1 if wait and other != queue else 0
        dispatch.remaining[queue, slot, other] = max(0, remaining)
    dispatch.levels[queue] += 1
    dispatch.outstanding[queue] += 1


@kernel
def _complete(dispatch):
    """What waits for the instructions that are complete in this cycle, waits for one less."""
    completes, remaining = dispatch.completes, dispatch.remaining
    for queue in range(completes.size):
        if not completes[queue]:
            continue
        dispatch.outstanding[queue] -= 1
        for entries in range(remaining.shape[0]):
            for slot in range(remaining.shape[1]):
                if remaining[entries, slot, queue] > 0:
                    remaining[entries, slot, queue] -= 1


@kernel
def _take_beat(dispatch, h, table):
    """A beat goes from its queue into the instruction."""
    state, beats, instruction = dispatch.state[0], dispatch.beats, dispatch.instruction
    beat = beats[state.head]
    state.head = (state.head + 1) % beats.shape[0]
    state.beats -= 1
    state.pending -= 1
    size = min(beat.size, INSTRUCTION_BYTES)
    source = state.next_address & beat.size - 1 if beat.size >= INSTRUCTION_BYTES else np.int64(0)
    instruction[size * state.parts : size * (state.parts + 1)] = beat[source : source + size]
    state.parts += 1
    if state.parts < h.fetch_beats:
        return
    state.next_address += INSTRUCTION_BYTES
    decoded = dispatch.decoded
    decode_fields(dispatch.words, table, decoded)
    opcode = decoded[0]
    if opcode == _DMA:
        state.target = _DMAS + decoded[_QUEUE]
    else:
        state.target = _TENSOR if opcode == _MATMUL else _SCALARS if opcode == _SCALAR else _VECTOR


@kernel
def clock_dispatch(dispatch, h, table, asked, beat_comes, beat, program_taken, memory):
    """At the edge, after heads have been taken. ``asked``: a burst is; ``beat``: the one that memory offers.

    ``memory`` offers the program that is taken.
    """
    state = dispatch.state[0]
    done = program_done(dispatch)
    takes = state.beats > 0 and (state.parts < h.fetch_beats or state.leaves)
    if state.leaves:
        # Before what is complete is counted, so that it counts for what is given, too.
        _give(dispatch)
        state.parts = 0
    _complete(dispatch)
    if takes:
        _take_beat(dispatch, h, table)
    if asked:
        state.pending += h.fetch_beats
        state.left -= 1
        state.address += INSTRUCTION_BYTES
    # A beat goes through the queue in a cycle of its own.
    state.beats += state.came
    state.came = beat_comes
    if beat_comes:
        dispatch.beats[(state.head + state.beats) % dispatch.beats.shape[0]] = beat
    if done:
        state.running = 0
    elif program_taken and memory.instructions:
        state.running = 1
        state.address = state.next_address = memory.program_address
        state.left = memory.instructions
