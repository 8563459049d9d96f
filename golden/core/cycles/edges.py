"""The clock edge of the core's blocks that hang together: DMA queues and SBUF, and the heads of the queues."""

from golden.core.cycles import dispatcher, dma, sbuf
from golden.kernels import kernel

__all__ = ["clock_beat", "clock_dma", "start_heads"]

_TENSOR, _VECTOR, _DMAS = 0, 1, 3


@kernel
def clock_dma(s, h, out):
    """The DMA queues and SBUF at the edge: sources before SBUF, sinks behind it."""
    queues, ports = s.dma, s.sbuf
    for queue in range(h.dma_queues):
        index = ports.reads.size - h.dma_queues + queue
        dma.clock_source(
            queues.states[queue],
            queues.codes[queue],
            queues.walkers[queue],
            queues.words[queue],
            ports.read_data[index],
            ports.fresh[index],
            ports.reads[index].grant,
            out.ar_taken and out.read_choice == queue + 1,
            h,
        )
    sbuf.clock_sbuf(ports)
    for queue in range(h.dma_queues):
        aw_taken = 1 if out.aw_taken and out.write_choice == queue else 0
        answered = 1 if out.answered == queue else 0
        data, enable = ports.write_data[2 + queue], ports.write_enable[2 + queue]
        dma.clock_sink(queues.states[queue], queues.codes[queue], queue, queues, data, enable, aw_taken, answered, h)


@kernel
def clock_beat(s, h, out):
    """A beat of memory that comes goes to a DMA queue's buffer; True if it is the dispatcher's."""
    if not out.r_taken:
        return False
    owner = s.port.readers[out.read_head]
    if owner == 0:
        return True
    queue, last = owner - 1, out.r_last
    state, code, walkers = s.dma.states[queue], s.dma.codes[queue], s.dma.walkers[queue]
    dma.fill_beat(state, code, walkers, s.dma.buffer[queue], s.environment.beat, last, h)
    return False


@kernel
def start_heads(s, h):
    """At the edge, when all else has been clocked: the heads that are taken."""
    dispatch = s.dispatch
    if s.front.state[0].start:
        dispatcher.take_head(dispatch, _TENSOR, s.front.code_slots[0])
    for unit in range(2):
        if s.lanes.states[unit].start:
            dispatcher.take_head(dispatch, _VECTOR + unit, s.lanes.code_slots[unit])
    for queue in range(h.dma_queues):
        state = s.dma.states[queue]
        if state.start:
            dispatcher.take_head(dispatch, _DMAS + queue, s.dma.code_slots[queue])
            dma.start_queue(state, s.dma.codes[queue], s.dma.walkers[queue], h)
