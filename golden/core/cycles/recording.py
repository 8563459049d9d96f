"""What the cycle model writes to a record: values of the fields that ``arch.core.signals`` lists."""

from typing import NamedTuple

from arch.core.config import CoreConfig
from arch.core.instructions import MEMORY_BITS
from arch.core.layouts import write_request_layout
from arch.core.signals import core_record
from golden.core.cycles.bits import put
from golden.core.cycles.memory import put_beat
from golden.kernels import kernel

__all__ = ["Places", "find_places", "put_blocks", "put_dispatch", "put_engine", "put_port", "put_sbuf"]


class Places(NamedTuple):
    """Words of a record at which fields begin; rows follow each other at even distances."""

    program: int
    r: int
    b: int
    ready_in: int  # ar, aw, w
    ready_out: int  # program, r, b
    ar: int
    aw: int
    w: int
    running: int
    queues: int
    reads: int
    writes: int
    write_words: int  # of a write's request
    row_bits: int
    command: int
    lanes: int
    chunks: int


def find_places(config: CoreConfig) -> Places:
    """The places of a configuration."""
    record = core_record(config)

    def at(name: str, row: int | None = None) -> int:
        return record.at(name, row).start

    return Places(
        program=at("i_program__valid"),
        r=at("i_r__valid"),
        b=at("i_b__valid"),
        ready_in=at("o_ar__ready"),
        ready_out=at("i_program__ready"),
        ar=at("o_ar__valid"),
        aw=at("o_aw__valid"),
        w=at("o_w__valid"),
        running=at("running"),
        queues=at("level", 0),
        reads=at("read", 0),
        writes=at("write", 0),
        write_words=(write_request_layout(config).width + 31) // 32,
        row_bits=config.row_address_bits,
        command=at("command_valid"),
        lanes=at("phase", 0),
        chunks=at("asked", 0),
    )


@kernel
def put_port(record, places, env, port, dispatch, beat, strobes, w_last):
    """The ports. ``beat``, ``strobes``, ``w_last``: what goes out if ``port.w_valid``."""
    memory = env.state[0]
    record[places.program] = memory.program_valid
    if memory.program_valid:
        end = put(record, 32 * (places.program + 1), memory.program_address, MEMORY_BITS)
        put(record, end, memory.instructions, 24)
    record[places.r] = memory.r_valid
    if memory.r_valid:
        end = put_beat(record, 32 * (places.r + 1), env.beat)
        put(record, end + 2, memory.r_last, 1)
    record[places.b] = memory.b_valid
    at = places.ready_in
    record[at], record[at + 1], record[at + 2] = memory.ar_ready, memory.aw_ready, memory.w_ready
    at = places.ready_out
    record[at], record[at + 1], record[at + 2] = not dispatch.running, port.reads > 0, 1
    record[places.ar] = port.ar_valid
    if port.ar_valid:
        put(record, put(record, 32 * (places.ar + 1), port.ar_address, MEMORY_BITS), port.ar_beats - 1, 8)
    record[places.aw] = port.aw_valid
    if port.aw_valid:
        put(record, put(record, 32 * (places.aw + 1), port.aw_address, MEMORY_BITS), port.aw_beats - 1, 8)
    record[places.w] = port.w_valid
    if port.w_valid:
        end = put_beat(record, 32 * (places.w + 1), beat)
        for byte in range(strobes.size):
            end = put(record, end, strobes[byte], 1)
        put(record, end, w_last, 1)


@kernel
def put_dispatch(record, places, dispatch):
    """The dispatcher and the queues of instructions."""
    state, at = dispatch.state[0], places.running
    record[at] = state.running
    if state.leaves:
        end = put(record, 32 * (at + 1), 1, 1)
        for word in range(dispatch.words.size):
            end = put(record, end, dispatch.words[word], 32)
    at = places.queues
    for queue in range(dispatch.levels.size):
        record[at] = dispatch.levels[queue]
        record[at + 1] = dispatch.starts[queue]
        record[at + 2] = dispatch.completes[queue]
        at += 3


@kernel
def put_sbuf(record, places, sbuf):
    """SBUF's ports."""
    lanes, at = sbuf.memory.shape[1], places.reads
    for index in range(sbuf.reads.size):
        port = sbuf.reads[index]
        record[at] = port.valid | port.row << 1
        record[at + 1] = port.grant
        if sbuf.fresh[index]:
            record[at + 2 : at + 2 + lanes] = sbuf.read_data[index]
        at += 2 + lanes
    at = places.writes
    for index in range(sbuf.writes.size):
        port = sbuf.writes[index]
        if port.valid:
            end = put(record, 32 * at, port.valid | port.row << 1, 1 + places.row_bits)
            for lane in range(lanes):
                end = put(record, end, sbuf.write_enable[index, lane], 4)
            for lane in range(lanes):
                end = put(record, end, sbuf.write_data[index, lane], 32)
        record[at + places.write_words] = port.grant
        at += places.write_words + 1


@kernel
def _put_stream(record, at, valid, ready, words):
    record[at] = valid
    record[at + 1] = ready
    if valid:
        record[at + 2 : at + 2 + words.size] = words
    return at + 2 + words.size


@kernel
def put_engine(record, places, front, engine):
    """The tensor engine's streams, before its state is clocked, but for what is ready."""
    position, queues = engine.state.position, engine.queues
    at = _put_stream(record, places.command, position[0] == 0, 0, queues.commands[0])
    at = _put_stream(record, at, position[1] == 0, 0, queues.weights[0])
    at = _put_stream(record, at, position[2] == 0, 0, queues.activations[0])
    _put_stream(record, at, engine.state.counters[0].result_valid, front.result_ready, engine.state.result)


@kernel
def put_blocks(record, places, front, engine, lanes, dma):
    """What is ready at the tensor engine's streams; the lane engines; the DMA queues."""
    at, queues = places.command + 1, engine.queues
    record[at] = front.command_ready
    at += 2 + queues.commands.shape[1]
    record[at] = front.weight_ready
    at += 2 + queues.weights.shape[1]
    record[at] = front.row_ready
    at = places.lanes
    for unit in range(2):
        state = lanes[unit]
        record[at], record[at + 1], record[at + 2] = state.phase, state.take, state.advance
        at += 3
    at = places.chunks
    for queue in range(dma.size):
        state = dma[queue]
        record[at], record[at + 1], record[at + 2] = state.asked & 255, state.filled & 255, state.drained & 255
        at += 3


