"""What happens in a cycle of the core, block by block, from registers on: the wires between the blocks."""

from golden.core.cycles import dispatcher, dma, front, lanes, readers, sbuf
from golden.kernels import kernel

__all__ = ["ask_writes", "decide_lanes", "decide_queues", "decide_reads"]

_TENSOR, _VECTOR, _DMAS = 0, 1, 3


@kernel
def ask_writes(s, h):
    """Ask SBUF's write ports, from registers alone, and grant them."""
    for unit in range(2):
        lanes.ask_write(unit, s.lanes, s.sbuf)
    for queue in range(h.dma_queues):
        state, write = s.dma.states[queue], s.sbuf.writes[2 + queue]
        write.valid = state.full and s.dma.codes[queue].sink_space == dma.SBUF
        write.row = state.row if write.valid else 0
    sbuf.grant(s.sbuf.writes, h.bank_shift)


@kernel
def decide_lanes(s, tensor, result_valid):
    """What the lane engines take; the vector engine comes first where both want the result."""
    granted = s.sbuf.writes
    vector = lanes.decide_lane(
        lanes.VECTOR, s.lanes, s.readers.readers, s.readers.patterns, granted[0].grant, result_valid
    )
    scalar = lanes.decide_lane(
        lanes.SCALAR, s.lanes, s.readers.readers, s.readers.patterns, granted[1].grant, result_valid and not vector
    )
    states = s.lanes.states
    tensor.result_ready = states[0].take if vector else states[1].take if scalar else 0


@kernel
def decide_reads(s, h):
    """Ask SBUF's read ports and grant them; who steps, and whose pattern is taken."""
    readers.ask(s.readers.readers, s.sbuf.reads, h.sbuf_rows)
    for queue in range(h.dma_queues):
        index = s.sbuf.reads.size - h.dma_queues + queue
        dma.ask_row(s.dma.states[queue], s.dma.codes[queue], s.sbuf.reads[index], h)
    sbuf.grant(s.sbuf.reads, h.bank_shift)
    readers.decide_readers(s.readers.readers, s.sbuf.reads, s.readers.patterns)


@kernel
def decide_queues(s, h, out, tensor):
    """What is complete and what starts, by queue; True if the tensor front end's instruction leaves."""
    dispatch, starts, completes = s.dispatch, s.dispatch.starts, s.dispatch.completes
    leaves = front.decide_front(
        tensor, s.readers.readers, s.readers.patterns, dispatcher.may_start(dispatch, _TENSOR)
    )
    starts[_TENSOR], completes[_TENSOR] = tensor.start, tensor.complete
    for unit in range(2):
        state = s.lanes.states[unit]
        state.start = state.phase == lanes.IDLE and dispatcher.may_start(dispatch, _VECTOR + unit)
        starts[_VECTOR + unit], completes[_VECTOR + unit] = state.start, state.complete
    for queue in range(h.dma_queues):
        state = s.dma.states[queue]
        taken = s.sbuf.writes[2 + queue].grant or (out.w_taken and out.writing == queue)
        dma.decide_queue(state, s.dma.codes[queue], taken, out.answered == queue, dispatcher.may_start(dispatch, _DMAS + queue))
        starts[_DMAS + queue], completes[_DMAS + queue] = state.start, state.complete
    dispatcher.decide_dispatch(dispatch, h)
    return leaves
