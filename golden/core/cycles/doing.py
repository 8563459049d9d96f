"""What each queue of the cycle model is doing, as docs/core.md counts it."""

from arch.core.layouts import DOINGS
from golden.core.cycles import lanes
from golden.core.cycles.readers import MOVING, SCALAR_X, STATIONARY, VECTOR_T, VECTOR_X
from golden.kernels import borrowing_kernel

__all__ = ["decide_doing"]

_EMPTY, _ORDER, _CONFLICT, _STREAM, _BUSY = range(len(DOINGS))
_TENSOR, _VECTOR, _SCALAR, _DMAS = 0, 1, 2, 3


@borrowing_kernel
def _lost(port):
    """A port of SBUF is valid and not granted."""
    return port.valid and not port.grant


@borrowing_kernel
def _dma(index, reads, writes, out, reader, h):
    """A DMA queue at work. ``reader``: who gets the beat that comes, as the memory port counts; -1 if none does."""
    read, write = reads[reads.size - h.dma_queues + index], writes[2 + index]
    if _lost(read) or _lost(write):
        return _CONFLICT
    if read.grant or write.grant or reader == index + 1:
        return _BUSY
    if (out.ar_taken and out.read_choice == index + 1) or (out.aw_taken and out.write_choice == index):
        return _BUSY
    return _BUSY if out.w_taken and out.writing == index else _STREAM


@borrowing_kernel
def _engine(index, reads, writes, tensor, walkers, states, codes):
    """An engine at work."""
    if index == _TENSOR:
        if _lost(reads[MOVING]) or _lost(reads[STATIONARY]):
            return _CONFLICT
        return _BUSY if walkers[MOVING].full and tensor.row_ready else _STREAM
    unit = index - _VECTOR
    if index == _VECTOR:
        lost = _lost(reads[VECTOR_X]) or _lost(reads[VECTOR_T])
    else:
        lost = _lost(reads[SCALAR_X])
    if lost or _lost(writes[unit]):
        return _CONFLICT
    return _STREAM if lanes.wants_rows(states[unit], codes[unit]) and not tensor.result_valid else _BUSY


@borrowing_kernel
def decide_doing(queues, reads, writes, tensor, walkers, states, codes, out, owners, h):
    """What each queue is doing in this cycle, in which all else has been decided."""
    reader = owners[out.read_head] if out.r_taken else -1
    for index in range(queues.size):
        queue = queues[index]
        if queue.outstanding == queue.level:
            queue.doing = _BUSY if queue.start else _ORDER if queue.level else _EMPTY
        elif index < _DMAS:
            queue.doing = _engine(index, reads, writes, tensor, walkers, states, codes)
        else:
            queue.doing = _dma(index - _DMAS, reads, writes, out, reader, h)
