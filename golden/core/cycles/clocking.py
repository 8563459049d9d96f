"""The kernel of ``golden.core.model``: one clock cycle after another, as docs/core.md says.

Within a cycle: what memory offers; what is written to SBUF; what the lane engines take; the tensor engine; what is read
of SBUF; the memory port; what is complete and what starts; the record. Then the edge, block by block, each before those
whose values of this cycle it needs.
"""

from golden.core.cycles import (
    deciding,
    dispatcher,
    doing,
    edges,
    front,
    lanes,
    memory,
    port,
    readers,
    recording,
    sbuf,
    stopping,
)
from golden.kernels import kernel
from golden.tensor import clocking

__all__ = ["job_done", "run"]


@kernel
def job_done(memory, dispatch):
    """The program is over, or there is none."""
    return not (memory.program_waits or dispatch.running)


# fmt: off
@kernel
def run(h, places, table, s, engine, given, trace, seed, quiet, latency, ends):
    """Simulate ``len(trace)`` cycles, or with ``ends`` as many as the program takes; returns how many.

    It returns before, too, where an instruction is whole that is not the job's: whether it is legal is to be said then.

    :func:`golden.core.cycles.memory.present_memory` has ``seed``, ``quiet`` and ``latency``.
    """
    # Once, here: taking an array out of a tuple takes long.
    tensor, out, env, dispatch = s.front.state[0], s.port.state[0], s.environment.state[0], s.dispatch.state[0]
    bursts, answers, loaded = s.environment.reads, s.environment.answers, s.environment.beat
    reads, read_data, rows = s.sbuf.reads, s.sbuf.read_data, s.sbuf.memory
    writes, data, enable = s.sbuf.writes, s.sbuf.write_data, s.sbuf.write_enable
    walkers, patterns, held = s.readers.readers, s.readers.patterns, s.readers.held
    states, codes, code_slots = s.lanes.states, s.lanes.codes, s.lanes.code_slots
    elements, partials, code, slots = s.lanes.words, s.lanes.partials, s.front.code[0], s.front.code_slots
    fetched, instruction, words = s.dispatch.beats, s.dispatch.instruction, s.dispatch.words
    decoded, queues, entries = s.dispatch.decoded, s.dispatch.queues, s.dispatch.entries
    owners, writers, stop, window = s.port.readers, s.port.writers, s.stop[0], given.window
    movers, moves, move_slots, places_of = s.dma.states, s.dma.codes, s.dma.code_slots, s.dma.walkers
    buffer, chunks, beats, strobes = s.dma.buffer, s.dma.words, s.dma.beat, s.dma.strobes
    lane_rows, kept = s.dma.rows, s.dma.kept
    t, q, ports = engine.state, engine.queues, engine.ports
    n, position, stages, result = t.counters[0], t.position, t.stages, t.result
    commands, weights, activations, command_fields = q.commands, q.weights, q.activations, q.command_fields
    numbers, widths, drain_latency = engine.numbers, engine.widths, engine.hardware.drain_latency
    shown, stall = ports[0, ports.shape[1] - h.lanes - 1 : ports.shape[1] - 1], s.front.quiet
    for index in range(trace.shape[0]):
        if dispatch.legal < 0 or (ends and job_done(env, dispatch)):
            return index
        cycle, record = env.cycle, trace[index]
        record[:] = 0
        memory.present_memory(env, bursts, answers, loaded, given, cycle, seed, quiet, latency)
        deciding.ask_writes(states, codes, elements, movers, moves, writes, data, enable, stop, h)
        deciding.decide_lanes(states, codes, walkers, patterns, writes, tensor, n.result_valid)
        front.offer_front(tensor, code, patterns, h, command_fields, numbers, commands, widths)
        front.offer_beats(tensor, walkers, held, read_data, weights, activations, position, h.code_bits)
        recording.put_result(record, places, tensor, n, result)
        if front.idle(n, stages, position, drain_latency):
            tensor.command_ready, tensor.weight_ready, tensor.row_ready = 1, 0, 0
        else:
            stall[3] = 0 if tensor.result_ready else 1 << 16
            clocking.run(engine.hardware, engine.tables, t, q, ports, False, 0, stall, False)
            front.note_ready(tensor, ports[0], h.lanes)
        walkers[readers.STATIONARY].ready, walkers[readers.MOVING].ready = tensor.weight_ready, tensor.row_ready
        deciding.ask_reads(walkers, patterns, reads, movers, moves, stop, h)
        port.decide_port(out, writers, dispatch, movers, moves, places_of, lane_rows, env, stop.stopped, h)
        leaves = deciding.decide_queues(tensor, walkers, patterns, states, movers, moves, kept, writes, out,
                                        dispatch, queues, entries, stop, h)
        doing.decide_doing(queues, reads, writes, tensor, walkers, states, codes, out, owners, h)
        stopping.decide_stop(stop, dispatch, queues, reads, walkers, movers, out, owners, env, h)
        sender = max(out.writing, 0)
        beat, strobe, w_last = beats[sender], strobes[sender], movers[sender].last
        recording.put_cycle(
            record, places, env, loaded, out, beat, strobe, w_last, dispatch, words, queues, reads, read_data, writes,
            data, enable, tensor, walkers, commands, weights, activations, states, movers, stop,
        )

        for unit in range(2):
            state, mine = states[unit], codes[unit]
            lanes.clock_lane(unit, state, mine, elements, partials, walkers, read_data, held, patterns, shown)
        readers.clock_readers(walkers, reads, patterns, held, read_data)
        memory.clock_memory(env, bursts, answers, window, cycle, out, dispatch, stop.stopped, beat, strobe, w_last)
        comes = edges.clock_beat(movers, moves, lane_rows, places_of, buffer, owners, loaded, out, h)
        edges.clock_sources(movers, moves, lane_rows, kept, places_of, chunks, reads, read_data, out, h)
        sbuf.clock_sbuf(rows, reads, read_data, writes, data, enable)
        edges.clock_sinks(
            movers, moves, lane_rows, kept, places_of, chunks, buffer, beats, strobes, data, enable, out, h
        )
        edges.start_heads(
            queues, entries, slots, code_slots, move_slots, movers, moves, lane_rows, kept, places_of, h
        )
        front.clock_front(tensor, code, queues[0].number, patterns, leaves, h)
        dispatcher.clock_dispatch(
            dispatch, fetched, instruction, words, decoded, queues, entries, h, table, given, stop, out, comes, loaded,
            env,
        )
        port.clock_port(out, owners, writers, w_last)
        stopping.clock_stop(stop)
        env.cycle = cycle + 1
    return trace.shape[0]
