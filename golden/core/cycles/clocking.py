"""The kernel of ``golden.core.model``: one clock cycle after another, as docs/core.md says.

Within a cycle: what memory offers; what is written to SBUF; what the lane engines take; the tensor engine; what is read
of SBUF; the memory port; what is complete and what starts; the record. Then the edge, block by block, each before those
whose values of this cycle it needs.
"""

from golden.core.cycles import deciding, dispatcher, edges, front, lanes, memory, port, readers, recording
from golden.kernels import kernel

__all__ = ["job_done", "run"]


@kernel
def job_done(s):
    """The program is over, or there is none."""
    return not (s.environment.state[0].program_waits or s.dispatch.state[0].running)


@kernel
def run(h, places, table, s, engine, window, trace, seed, quiet, latency, ends):
    """Simulate ``len(trace)`` cycles, or with ``ends`` as many as the program takes; returns how many.

    ``cycle``: of the first, ``s.environment``'s. :func:`golden.core.cycles.memory.present_memory` has ``quiet``.
    """
    tensor, out, env = s.front.state[0], s.port.state[0], s.environment.state[0]
    read_data, held, walkers = s.sbuf.read_data, s.readers.held, s.readers.readers
    patterns, dispatch = s.readers.patterns, s.dispatch.state[0]
    words = engine.trace[0]
    result = words[words.size - h.lanes - 1 : words.size - 1]
    for index in range(trace.shape[0]):
        if ends and job_done(s):
            return index
        cycle = env.cycle
        memory.present_memory(s.environment, window, cycle, seed, quiet, latency)
        deciding.ask_writes(s, h)
        deciding.decide_lanes(s, tensor, engine.state.counters[0].result_valid)
        front.offer_front(tensor, s.front.code[0], walkers, held, read_data, patterns, h, engine)
        record = trace[index]
        record[:] = 0
        recording.put_engine(record, places, tensor, engine)
        front.run_engine(tensor, s.front.quiet, engine)
        walkers[readers.STATIONARY].ready = tensor.weight_ready
        walkers[readers.MOVING].ready = tensor.row_ready
        deciding.decide_reads(s, h)
        port.decide_port(out, s.port.writers, dispatch, s.dma, env, h)
        leaves = deciding.decide_queues(s, h, out, tensor)
        sender = max(out.writing, 0)
        beat, strobes, w_last = s.dma.beat[sender], s.dma.strobes[sender], s.dma.states[sender].last
        recording.put_port(record, places, s.environment, out, dispatch, beat, strobes, w_last)
        recording.put_dispatch(record, places, s.dispatch)
        recording.put_sbuf(record, places, s.sbuf)
        recording.put_blocks(record, places, tensor, engine, s.lanes.states, s.dma.states)

        for unit in range(2):
            lanes.clock_lane(unit, s.lanes, walkers, read_data, held, patterns, result)
        readers.clock_readers(walkers, s.sbuf.reads, patterns, held, read_data)
        memory.clock_memory(s.environment, window, cycle, out, dispatch.running, beat, strobes, w_last)
        for_dispatcher = edges.clock_beat(s, h, out)
        edges.clock_dma(s, h, out)
        edges.start_heads(s, h)
        front.clock_front(tensor, s.front.code[0], patterns, leaves, h)
        fetched, program = out.ar_taken and out.read_choice == 0, env.program_taken
        dispatcher.clock_dispatch(
            s.dispatch, h, table, fetched, for_dispatcher, s.environment.beat, program, env
        )
        port.clock_port(out, s.port.readers, s.port.writers, w_last)
        env.cycle = cycle + 1
    return trace.shape[0]
