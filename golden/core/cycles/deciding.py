"""What happens in a cycle of the core, block by block, from registers on: the wires between the blocks."""

from golden.core.cycles import dispatcher, dma, front, lanes, readers, sbuf
from golden.kernels import borrowing_kernel

__all__ = ["ask_reads", "ask_writes", "decide_lanes", "decide_queues"]

_TENSOR, _VECTOR, _DMAS = 0, 1, 3


@borrowing_kernel
def ask_writes(lane_states, lane_codes, words, dma_states, dma_codes, writes, data, enable, stop, h):
    """Ask SBUF's write ports, from registers alone, and grant them."""
    for unit in range(2):
        lanes.ask_write(unit, lane_states[unit], lane_codes[unit], words, writes[unit], data, enable)
    for queue in range(h.dma_queues):
        state, write = dma_states[queue], writes[2 + queue]
        write.valid = state.full and dma_codes[queue].sink_space == dma.SBUF
        write.row = state.row if write.valid else 0
    stop.bad_write = sbuf.grant(writes, stop.stopped, h)


@borrowing_kernel
def decide_lanes(states, codes, walkers, patterns, writes, tensor, result_valid):
    """What the lane engines take; the vector engine comes first where both want the result."""
    tensor.result_valid = result_valid
    vector = lanes.decide_lane(lanes.VECTOR, states[0], codes[0], walkers, patterns, writes[0].grant, result_valid != 0)
    scalar_valid = result_valid != 0 and not vector
    scalar = lanes.decide_lane(lanes.SCALAR, states[1], codes[1], walkers, patterns, writes[1].grant, scalar_valid)
    tensor.result_ready = states[0].take if vector else states[1].take if scalar else 0


@borrowing_kernel
def ask_reads(walkers, patterns, reads, dma_states, dma_codes, stop, h):
    """Ask SBUF's read ports and grant them; who steps, and whose pattern is taken."""
    readers.ask(walkers, reads)
    for queue in range(h.dma_queues):
        dma.ask_row(dma_states[queue], dma_codes[queue], reads[reads.size - h.dma_queues + queue], h)
    stop.bad_read = sbuf.grant(reads, stop.stopped, h)
    readers.decide_readers(walkers, reads, patterns)


@borrowing_kernel
def decide_queues(
    tensor, walkers, patterns, lane_states, dma_states, dma_codes, kept, writes, out, state, queues, entries, stop, h
):
    """What is complete and what starts, by queue; True if the tensor front end's instruction leaves."""
    queue = queues[_TENSOR]
    leaves = front.decide_front(tensor, walkers, patterns, dispatcher.may_start(queue, entries[_TENSOR]))
    queue.start, queue.complete = tensor.start, tensor.complete
    for unit in range(2):
        queue, lane = queues[_VECTOR + unit], lane_states[unit]
        lane.start = lane.phase == lanes.IDLE and dispatcher.may_start(queue, entries[_VECTOR + unit])
        queue.start, queue.complete = lane.start, lane.complete
    for index in range(h.dma_queues):
        queue, mover = queues[_DMAS + index], dma_states[index]
        taken = writes[2 + index].grant or (out.w_taken and out.writing == index)
        may_start = dispatcher.may_start(queue, entries[_DMAS + index])
        dma.decide_queue(mover, dma_codes[index], kept[index], taken, out.answered == index, may_start)
        queue.start, queue.complete = mover.start, mover.complete
    dispatcher.decide_dispatch(state, queues, stop.stopped, h)
    return leaves
