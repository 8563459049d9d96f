"""The dispatcher of the cycle model, and the queues of instructions."""

import numpy as np

from arch.core.instructions import INSTRUCTION_BYTES, MEMORY_BITS, OPCODES, QUEUES
from arch.core.timing import FETCH_DEPTH
from golden.core.cycles.fields import DMA, SLOTS, decode_fields
from golden.kernels import borrowing_kernel

__all__ = ["clock_dispatch", "decide_dispatch", "fetches", "may_start", "take_head"]

_DMA, _MATMUL, _SCALAR = OPCODES["dma"], OPCODES["matmul"], OPCODES["scalar"]
_MEMORY = (1 << MEMORY_BITS) - 1
_QUEUE = DMA.names.index("queue")
#: Places in an entry behind the instruction: its number, and what must still complete of each queue.
_NUMBER, _REMAINING = SLOTS, SLOTS + 1
_FIRST_WAIT = DMA.names.index(f"wait_{QUEUES[0]}")
_TENSOR, _VECTOR, _SCALARS, _DMAS = 0, 1, 2, 3


@borrowing_kernel
def may_start(queue, entries):
    """Whether a queue, of these entries, has a head, and what it waits for is complete."""
    if queue.level == 0:
        return False
    for index in range(_REMAINING, entries.shape[1]):
        if entries[queue.head, index]:
            return False
    return True


@borrowing_kernel
def take_head(queue, entries, slots):
    """At the edge: the head leaves its queue for the engine's instruction, int64[fields]."""
    for index in range(slots.size):
        slots[index] = entries[queue.head, index]
    queue.number = entries[queue.head, _NUMBER]
    queue.head = (queue.head + 1) % entries.shape[0]
    queue.level -= 1


@borrowing_kernel
def fetches(state, h):
    """Whether a burst is asked for."""
    return state.left > 0 and state.pending + h.fetch_beats <= FETCH_DEPTH * h.fetch_beats


@borrowing_kernel
def _program_done(state, queues, stop, port):
    """Nothing is left of a program that was running."""
    if not state.running:
        return False
    if stop.stopped:
        return not (port.ar_valid or port.aw_valid or port.reads or port.writes)
    if state.left or state.pending or state.parts:
        return False
    for index in range(queues.size):
        if queues[index].outstanding:
            return False
    return True


@borrowing_kernel
def decide_dispatch(state, queues, stopped, h):
    """Whether an instruction leaves in this cycle, for the queue ``state.target``."""
    state.leaves = state.parts == h.fetch_beats and state.legal == 1 and not stopped
    if state.leaves:
        state.leaves = queues[state.target].level < h.queue_depth


@borrowing_kernel
def _give(state, decoded, queues, entries):
    """The instruction that leaves goes to the end of its queue, with what it waits for."""
    target = state.target
    queue = queues[target]
    entry = entries[target, (queue.head + queue.level) % entries.shape[1]]
    for index in range(SLOTS):
        entry[index] = decoded[index]
    for index in range(queues.size):
        wait = decoded[_FIRST_WAIT + index]
        remaining = queues[index].outstanding - wait + 1 if wait and index != target else 0
        entry[_REMAINING + index] = max(0, remaining)
    entry[_NUMBER] = state.number
    state.number += 1
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
                if entries[queue, slot, _REMAINING + index] > 0:
                    entries[queue, slot, _REMAINING + index] -= 1


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
def _known(number, words, given):
    """Whether an instruction is legal; -1 if it is not the one that the job had there: memory was written."""
    if number >= given.legal.size:
        return np.int64(-1)
    for index in range(words.size):
        if words[index] != given.codes[number, index]:
            return np.int64(-1)
    return given.legal[number]


@borrowing_kernel
def _decode(state, words, table, decoded, given):
    """The instruction is whole."""
    state.legal = _known(state.number, words, given)
    state.next_address += INSTRUCTION_BYTES
    decode_fields(words, table, decoded)
    opcode = decoded[0]
    if opcode == _DMA:
        state.target = _DMAS + decoded[_QUEUE]
    else:
        state.target = _TENSOR if opcode == _MATMUL else _SCALARS if opcode == _SCALAR else _VECTOR


@borrowing_kernel
def clock_dispatch(
    state, beats, instruction, words, decoded, queues, entries, h, table, given, stop, port, comes, beat, memory
):
    """At the edge, after heads have been taken. ``comes``: ``beat`` is taken.

    ``memory`` offers the program.
    """
    done = _program_done(state, queues, stop, port)
    takes = state.beats > 0 and (state.parts < h.fetch_beats or state.leaves)
    if state.leaves:
        # Before what is complete is counted, so that it counts for what is given, too.
        _give(state, decoded, queues, entries)
        state.parts = 0
    _complete(queues, entries)
    if takes and _take_beat(state, beats, instruction, h):
        _decode(state, words, table, decoded, given)
    if port.ar_taken and port.read_choice == 0:
        state.pending += h.fetch_beats
        state.left -= 1
        state.address = state.address + INSTRUCTION_BYTES & _MEMORY
    # A beat goes through the queue in a cycle of its own.
    state.beats += state.came
    state.came = comes
    state.received += comes
    if comes:
        end = (state.head + state.beats) % beats.shape[0]
        for byte in range(beat.size):
            beats[end, byte] = beat[byte]
    if done:
        state.running = 0
    elif state.program_taken and memory.instructions:
        state.running = 1
        state.address = state.next_address = memory.program_address
        state.left = state.instructions = memory.instructions
        state.number = state.received = 0
