"""The dispatcher of the cycle model, and the queues of instructions."""

import numpy as np

from arch.core.instructions import INSTRUCTION_BYTES, OPCODES, QUEUES
from arch.core.timing import FETCH_DEPTH
from golden.core.cycles.fields import DMA, SLOTS, decode_fields
from golden.kernels import borrowing_kernel

__all__ = ["clock_dispatch", "decide_dispatch", "fetches", "may_start", "take_head"]

_DMA, _MATMUL, _SCALAR = OPCODES["dma"], OPCODES["matmul"], OPCODES["scalar"]
_QUEUE = DMA.names.index("queue")
_FIRST_WAIT = DMA.names.index(f"wait_{QUEUES[0]}")
_TENSOR, _VECTOR, _SCALARS, _DMAS = 0, 1, 2, 3


@borrowing_kernel
def may_start(queue, entries):
    """Whether a queue, of these entries, has a head, and what it waits for is complete."""
    if queue.level == 0:
        return False
    for index in range(SLOTS, entries.shape[1]):
        if entries[queue.head, index]:
            return False
    return True


@borrowing_kernel
def take_head(queue, entries, slots):
    """At the edge: the head leaves its queue for the engine's instruction, int64[fields]."""
    for index in range(slots.size):
        slots[index] = entries[queue.head, index]
    queue.head = (queue.head + 1) % entries.shape[0]
    queue.level -= 1


@borrowing_kernel
def fetches(state, h):
    """Whether a burst is asked for."""
    return state.left > 0 and state.pending + h.fetch_beats <= FETCH_DEPTH * h.fetch_beats


@borrowing_kernel
def _program_done(state, queues):
    """Nothing is left of a program that was running."""
    if not state.running or state.left or state.pending or state.parts:
        return False
    for index in range(queues.size):
        if queues[index].outstanding:
            return False
    return True


@borrowing_kernel
def decide_dispatch(state, queues, h):
    """Whether an instruction leaves in this cycle, for the queue ``state.target``."""
    state.leaves = state.parts == h.fetch_beats and queues[state.target].level < h.queue_depth


@borrowing_kernel
def _give(target, decoded, queues, entries):
    """The instruction that leaves goes to the end of its queue, with what it waits for."""
    queue = queues[target]
    entry = entries[target, (queue.head + queue.level) % entries.shape[1]]
    for index in range(SLOTS):
        entry[index] = decoded[index]
    for index in range(queues.size):
        wait = decoded[_FIRST_WAIT + index]
        remaining = queues[index].outstanding - wait + 1 if wait and index != target else 0
        entry[SLOTS + index] = max(0, remaining)
    queue.level += 1
    queue.outstanding += 1


@borrowing_kernel
def _complete(queues, entries):
    """What waits for the instructions that are complete in this cycle, waits for one less."""
    for index in range(queues.size):
        if not queues[index].complete:
            continue
        queues[index].outstanding -= 1
        for queue in range(entries.shape[0]):
            for slot in range(entries.shape[1]):
                if entries[queue, slot, SLOTS + index] > 0:
                    entries[queue, slot, SLOTS + index] -= 1


@borrowing_kernel
def _take_beat(state, beats, instruction, h):
    """A beat goes from its queue into the instruction; True if that is whole."""
    width = beats.shape[1]
    size = min(width, INSTRUCTION_BYTES)
    source = state.next_address & width - 1 if width >= INSTRUCTION_BYTES else np.int64(0)
    for byte in range(size):
        instruction[size * state.parts + byte] = beats[state.head, source + byte]
    state.head = (state.head + 1) % beats.shape[0]
    state.beats -= 1
    state.pending -= 1
    state.parts += 1
    return state.parts == h.fetch_beats


@borrowing_kernel
def _decode(state, words, table, decoded):
    """The instruction is whole."""
    state.next_address += INSTRUCTION_BYTES
    decode_fields(words, table, decoded)
    opcode = decoded[0]
    if opcode == _DMA:
        state.target = _DMAS + decoded[_QUEUE]
    else:
        state.target = _TENSOR if opcode == _MATMUL else _SCALARS if opcode == _SCALAR else _VECTOR


@borrowing_kernel
def clock_dispatch(state, beats, instruction, words, decoded, queues, entries, h, table, fetched, comes, beat, memory):
    """At the edge, after heads have been taken. ``fetched``: a burst is asked for; ``comes``: ``beat`` is taken.

    ``memory`` offers the program.
    """
    done = _program_done(state, queues)
    takes = state.beats > 0 and (state.parts < h.fetch_beats or state.leaves)
    if state.leaves:
        # Before what is complete is counted, so that it counts for what is given, too.
        _give(state.target, decoded, queues, entries)
        state.parts = 0
    _complete(queues, entries)
    if takes and _take_beat(state, beats, instruction, h):
        _decode(state, words, table, decoded)
    if fetched:
        state.pending += h.fetch_beats
        state.left -= 1
        state.address += INSTRUCTION_BYTES
    # A beat goes through the queue in a cycle of its own.
    state.beats += state.came
    state.came = comes
    if comes:
        end = (state.head + state.beats) % beats.shape[0]
        for byte in range(beat.size):
            beats[end, byte] = beat[byte]
    if done:
        state.running = 0
    elif state.program_taken and memory.instructions:
        state.running = 1
        state.address = state.next_address = memory.program_address
        state.left = memory.instructions
