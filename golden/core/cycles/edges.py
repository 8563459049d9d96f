"""The clock edge of the core's blocks that hang together: DMA queues and SBUF, and the heads of the queues."""

from golden.core.cycles import dispatcher, dma
from golden.kernels import borrowing_kernel

__all__ = ["clock_beat", "clock_sinks", "clock_sources", "start_heads"]

_TENSOR, _VECTOR, _DMAS = 0, 1, 3


@borrowing_kernel
def clock_sources(states, codes, rows, kept, walkers, words, reads, read_data, out, h):
    """The DMA queues' sources, before SBUF has new data."""
    for queue in range(h.dma_queues):
        index = reads.size - h.dma_queues + queue
        taken, port = out.ar_taken and out.read_choice == queue + 1, reads[index]
        state, code, data = states[queue], codes[queue], read_data[index]
        if state.phase == dma.INDEX:
            dma.clock_index(state, code, rows[queue], kept[queue], data, port)
        elif taken or port.fresh or port.grant:
            dma.clock_source(state, code, rows[queue], walkers[queue], words[queue], data, port, taken, h)


@borrowing_kernel
def clock_sinks(states, codes, rows, kept, walkers, words, buffer, beat, strobes, data, enable, out, h):
    """The DMA queues' sinks, after SBUF has been written."""
    for queue in range(h.dma_queues):
        state = states[queue]
        if not state.phase:
            continue
        aw_taken = 1 if out.aw_taken and out.write_choice == queue else 0
        answered = 1 if out.answered == queue else 0
        if state.leaves or state.drains:
            index = 2 + queue
            dma.clock_stage(
                state, codes[queue], rows[queue], kept[queue], walkers[queue], words[queue], buffer[queue],
                beat[queue], strobes[queue], data[index], enable[index], h,
            )  # fmt: skip
        dma.clock_sink(state, codes[queue], rows[queue], walkers[queue], aw_taken, answered, h)


@borrowing_kernel
def clock_beat(states, codes, rows, walkers, buffer, owners, beat, out, h):
    """A beat of memory that comes goes to a DMA queue's buffer; True if it is the dispatcher's."""
    if not out.r_taken:
        return False
    owner = owners[out.read_head]
    if owner == 0:
        return True
    queue = owner - 1
    dma.fill_beat(states[queue], codes[queue], rows[queue], walkers[queue], buffer[queue], beat, out.r_last, h)
    return False


@borrowing_kernel
def start_heads(queues, entries, tensor_slots, lane_slots, dma_slots, dma_states, dma_codes, rows, kept, walkers, h):
    """At the edge, when all else has been clocked: the heads that are taken."""
    if queues[_TENSOR].start:
        dispatcher.take_head(queues[_TENSOR], entries[_TENSOR], tensor_slots[0])
    for unit in range(2):
        index = _VECTOR + unit
        if queues[index].start:
            dispatcher.take_head(queues[index], entries[index], lane_slots[unit])
    for mover in range(h.dma_queues):
        index = _DMAS + mover
        if queues[index].start:
            dispatcher.take_head(queues[index], entries[index], dma_slots[mover])
            dma.start_queue(dma_states[mover], dma_codes[mover], rows[mover], kept[mover], walkers[mover], h)
