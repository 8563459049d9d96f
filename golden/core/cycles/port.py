"""The memory port of the cycle model: who may ask for a burst, and who gets what comes back."""

from arch.core.instructions import MEMORY_BITS
from arch.core.layouts import PAGE_BYTES
from golden.core.cycles import bursts
from golden.core.cycles.dispatcher import fetches
from golden.core.cycles.dma import ADDRESS, ASKED, asks, offers_address
from golden.kernels import borrowing_kernel

__all__ = ["clock_port", "decide_port"]

_FETCH = 0
_ADDRESS, _PAGE_SHIFT = (1 << MEMORY_BITS) - 1, PAGE_BYTES.bit_length() - 1


@borrowing_kernel
def _choose(held, requests):
    """Who is offered: who was and is not taken yet, else the first that asks; -1 for none."""
    if held >= 0:
        return held
    for index in range(64):
        if requests >> index & 1:
            return index
    return -1


@borrowing_kernel
def _is_outside(address, memory):
    """Whether a burst is not the program's: it lies in one page."""
    return address >> _PAGE_SHIFT >= memory.pages


@borrowing_kernel
def _decide_reads(port, dispatch, states, codes, walkers, rows, memory, stopped, h):
    requests = 1 if fetches(dispatch, h) else 0
    for queue in range(h.dma_queues):
        requests |= (1 if asks(states[queue], codes[queue]) else 0) << queue + 1
    port.read_choice = choice = _choose(port.read_held, requests)
    port.ar_valid = port.ar_taken = port.ar_outside = 0
    if choice < 0:
        return
    if choice == _FETCH:
        port.ar_address = dispatch.address
        port.ar_beats = h.fetch_beats
    else:
        queue = choice - 1
        code = codes[queue]
        burst = bursts.burst_at(bursts.source(code), states[queue], code, rows[queue], walkers[queue, ASKED], h)
        port.ar_address, port.ar_beats = burst.first & _ADDRESS, burst.beats
    port.ar_address &= -h.beat_bytes
    port.ar_outside = _is_outside(port.ar_address, memory)
    port.ar_valid = not port.ar_outside and port.reads < h.reads_in_flight and (not stopped or port.ar_offered)
    port.ar_taken = port.ar_valid and memory.ar_ready


@borrowing_kernel
def _decide_writes(port, states, codes, walkers, rows, writers, memory, stopped, h):
    requests = 0
    for queue in range(h.dma_queues):
        requests |= (1 if offers_address(states[queue], codes[queue], walkers[queue, ADDRESS]) else 0) << queue
    port.write_choice = choice = _choose(port.write_held, requests)
    port.aw_valid = port.aw_taken = port.aw_outside = 0
    if choice >= 0:
        code = codes[choice]
        burst = bursts.burst_at(bursts.sink(code), states[choice], code, rows[choice], walkers[choice, ADDRESS], h)
        port.aw_address, port.aw_beats = burst.first & _ADDRESS & -h.beat_bytes, burst.beats
        port.aw_outside = _is_outside(port.aw_address, memory)
        port.aw_valid = not port.aw_outside and port.writes < writers.size and (not stopped or port.aw_offered)
        port.aw_taken = port.aw_valid and memory.aw_ready
    port.w_valid = port.writing >= 0 and states[port.writing].full
    port.w_taken = port.w_valid and memory.w_ready


@borrowing_kernel
def decide_port(port, writers, dispatch, states, codes, walkers, rows, memory, stopped, h):
    """What the port offers and what is taken."""
    _decide_reads(port, dispatch, states, codes, walkers, rows, memory, stopped, h)
    _decide_writes(port, states, codes, walkers, rows, writers, memory, stopped, h)
    port.r_taken = memory.r_valid and port.reads > 0
    port.r_last = memory.r_last
    port.answered = writers[port.write_head] if memory.b_valid and port.writes else -1


@borrowing_kernel
def clock_port(port, readers, writers, w_last):
    """At the edge. ``w_last``: the beat that goes out is the last of its burst."""
    if port.r_taken and port.r_last:
        port.read_head = (port.read_head + 1) % readers.size
        port.reads -= 1
    if port.answered >= 0:
        port.write_head = (port.write_head + 1) % writers.size
        port.writes -= 1
        port.sent -= 1
    if port.w_taken and w_last:
        port.sent += 1
    port.ar_offered, port.aw_offered = port.ar_valid and not port.ar_taken, port.aw_valid and not port.aw_taken
    port.read_held = port.read_choice
    if port.ar_taken:
        readers[(port.read_head + port.reads) % readers.size] = port.read_choice
        port.reads += 1
        port.read_held = -1
    port.write_held = port.write_choice
    if port.aw_taken:
        writers[(port.write_head + port.writes) % writers.size] = port.write_choice
        port.writes += 1
        port.write_held = -1
    port.writing = writers[(port.write_head + port.sent) % writers.size] if port.sent < port.writes else -1
