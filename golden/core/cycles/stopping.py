"""What stops a core in the cycle model: the first error of a cycle, and the instruction at fault."""

from arch.core.layouts import ERRORS
from golden.core.cycles.readers import MOVING, SCALAR_X, STATIONARY
from golden.kernels import borrowing_kernel

__all__ = ["clock_stop", "decide_stop"]

_ILLEGAL, _SBUF, _INDEX, _MEMORY, _BUS, _LIMIT = range(1, len(ERRORS) + 1)
_VECTOR, _SCALAR, _DMAS = 1, 2, 3


@borrowing_kernel
def _reader_number(port, reads, walkers, queues, h):
    """Of the instruction that a read port works for."""
    if port == MOVING or port == STATIONARY:
        return walkers[port].number
    if port <= SCALAR_X:
        return queues[_SCALAR if port == SCALAR_X else _VECTOR].number
    return queues[_DMAS + port - (reads.size - h.dma_queues)].number


@borrowing_kernel
def _asker_number(choice, dispatch, queues):
    """Of the instruction for which a burst is offered to be read."""
    return queues[_DMAS + choice - 1].number if choice else dispatch.instructions - dispatch.left


@borrowing_kernel
def _bad_index(movers):
    """The first DMA queue that looks at an index that may not be, or -1."""
    for index in range(movers.size):
        if movers[index].bad_index:
            return index
    return -1


@borrowing_kernel
def _find(stop, dispatch, queues, reads, walkers, movers, out, owners, memory, h):
    """The first error that holds, 0 for none, and the number of the instruction at fault."""
    if dispatch.parts == h.fetch_beats and dispatch.legal == 0:
        return _ILLEGAL, dispatch.number
    if stop.bad_read >= 0:
        return _SBUF, _reader_number(stop.bad_read, reads, walkers, queues, h)
    if stop.bad_write >= 0:
        # Write ports have the order of the queues, without that of the tensor engine.
        return _SBUF, queues[_VECTOR + stop.bad_write].number
    mover = _bad_index(movers)
    if mover >= 0:
        return _INDEX, queues[_DMAS + mover].number
    if out.ar_outside:
        return _MEMORY, _asker_number(out.read_choice, dispatch, queues)
    if out.aw_outside:
        return _MEMORY, queues[_DMAS + out.write_choice].number
    if out.r_taken and memory.r_response:
        owner = owners[out.read_head]
        return _BUS, queues[_DMAS + owner - 1].number if owner else dispatch.received // h.fetch_beats
    if out.answered >= 0 and memory.b_response:
        return _BUS, queues[_DMAS + out.answered].number
    if memory.limit and stop.cycles == memory.limit:
        return _LIMIT, dispatch.number
    return 0, dispatch.number


@borrowing_kernel
def decide_stop(stop, dispatch, queues, reads, walkers, movers, out, owners, memory, h):
    """What stops the core in this cycle, in which all else has been decided."""
    stop.found = 0
    if not dispatch.running:
        stop.cycles = 0
    elif not stop.stopped:
        stop.found, stop.at_fault = _find(stop, dispatch, queues, reads, walkers, movers, out, owners, memory, h)
        stop.cycles += 1


@borrowing_kernel
def clock_stop(stop):
    """At the edge, behind all that goes by whether the core is stopped."""
    if stop.found:
        stop.stopped, stop.error, stop.number = 1, stop.found, stop.at_fault
