"""What the cycle model writes to a record: values of the fields that ``arch.core.signals`` lists."""

from typing import NamedTuple

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import MEMORY_BITS
from arch.core.layouts import LIMIT_BITS, NUMBER_BITS, PORT_ROW_BITS, program_layout, stop_layout, write_request_layout
from arch.core.signals import core_record
from golden.core.cycles.bits import put, put_flags, put_words
from golden.core.cycles.memory import put_beat
from golden.core.cycles.readers import MOVING, STATIONARY
from golden.kernels import borrowing_kernel

__all__ = ["Places", "find_places", "put_cycle", "put_result"]

_ERROR_BITS = stop_layout().fields["error"]


class Places(NamedTuple):
    """Words of a record at which fields begin; rows follow each other at even distances."""

    program: int
    pages_bits: int
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
    command: int
    result: int
    lanes: int
    chunks: int


def find_places(config: CoreConfig) -> Places:
    """The places of a configuration."""
    record = core_record(config)

    def at(name: str, row: int | None = None) -> int:
        return record.at(name, row).start

    return Places(
        program=at("i_program__valid"),
        pages_bits=program_layout(config).fields["pages"],
        r=at("i_r__valid"),
        b=at("i_b__valid"),
        ready_in=at("o_ar__ready"),
        ready_out=at("i_program__ready"),
        ar=at("o_ar__valid"),
        aw=at("o_aw__valid"),
        w=at("o_w__valid"),
        running=at("o_running"),
        queues=at("level", 0),
        reads=at("read", 0),
        writes=at("write", 0),
        write_words=(write_request_layout(config).width + 31) // 32,
        command=at("command_valid"),
        result=at("result_valid"),
        lanes=at("phase", 0),
        chunks=at("asked", 0),
    )


@borrowing_kernel
def _put_port(record, places, memory, loaded, port, dispatch, stopped, beat, strobes, w_last):
    """The ports. ``loaded``: the beat on ``i_r``; ``beat``, ``strobes``, ``w_last``: what goes out, if any does."""
    record[places.program] = memory.program_valid
    if memory.program_valid:
        end = put(record, 32 * (places.program + 1), memory.program_address, MEMORY_BITS)
        end = put(record, end, memory.instructions, NUMBER_BITS)
        put(record, put(record, end, memory.pages, places.pages_bits), memory.limit, LIMIT_BITS)
    record[places.r] = memory.r_valid
    if memory.r_valid:
        end = put_beat(record, 32 * (places.r + 1), loaded)
        put(record, put(record, end, memory.r_response, 2), memory.r_last, 1)
    record[places.b] = memory.b_valid
    if memory.b_valid:
        record[places.b + 1] = memory.b_response
    at = places.ready_in
    record[at], record[at + 1], record[at + 2] = memory.ar_ready, memory.aw_ready, memory.w_ready
    at = places.ready_out
    record[at], record[at + 1], record[at + 2] = not dispatch.running and not stopped, port.reads > 0, 1
    record[places.ar] = port.ar_valid
    if port.ar_valid:
        put(record, put(record, 32 * (places.ar + 1), port.ar_address, MEMORY_BITS), port.ar_beats - 1, 8)
    record[places.aw] = port.aw_valid
    if port.aw_valid:
        put(record, put(record, 32 * (places.aw + 1), port.aw_address, MEMORY_BITS), port.aw_beats - 1, 8)
    record[places.w] = port.w_valid
    if port.w_valid:
        end = put_beat(record, 32 * (places.w + 1), beat)
        put(record, put_flags(record, end, strobes, 1), w_last, 1)


@borrowing_kernel
def _put_dispatch(record, places, state, words, queues, stop):
    """The dispatcher and the queues of instructions."""
    at = places.running
    record[at] = state.running
    record[at + 1] = stop.stopped | stop.error << 1 | stop.number << 1 + _ERROR_BITS
    if state.leaves:
        end = put_words(record, put(record, 32 * (at + 2), np.int64(1), 1), words)
        put(record, end, state.number, NUMBER_BITS)
    at = places.queues
    for index in range(queues.size):
        queue = queues[index]
        record[at], record[at + 1], record[at + 2] = queue.level, queue.start, queue.complete
        record[at + 3] = queue.doing
        at += 4


@borrowing_kernel
def _put_reads(record, places, reads, read_data):
    """SBUF's read ports."""
    lanes, at = read_data.shape[1], places.reads
    for index in range(reads.size):
        port = reads[index]
        record[at] = port.valid | port.row << 1
        record[at + 1] = port.grant
        at += 2
        if port.fresh:
            for lane in range(lanes):
                record[at + lane] = read_data[index, lane]
        at += lanes


@borrowing_kernel
def _put_writes(record, places, writes, data, enable):
    """SBUF's write ports."""
    at = places.writes
    for index in range(writes.size):
        port = writes[index]
        if port.valid:
            end = put(record, 32 * at, port.valid | port.row << 1, 1 + PORT_ROW_BITS)
            put_words(record, put_flags(record, end, enable[index], 4), data[index])
        record[at + places.write_words] = port.grant
        at += places.write_words + 1


@borrowing_kernel
def _put_stream(record, at, valid, ready, words):
    record[at], record[at + 1] = valid, ready
    at += 2
    if valid:
        for index in range(words.size):
            record[at + index] = words[index]
    return at + words.size


@borrowing_kernel
def put_result(record, places, front, n, result):
    """The tensor engine's results, before its state is clocked."""
    _put_stream(record, places.result, n.result_valid, front.result_ready, result)


@borrowing_kernel
def _put_blocks(record, places, front, readers, commands, weights, rows, lanes, dma):
    """What the tensor engine is offered; the lane engines; the DMA queues."""
    at = _put_stream(record, places.command, front.command_valid, front.command_ready, commands[0])
    at = _put_stream(record, at, readers[STATIONARY].full, front.weight_ready, weights[0])
    _put_stream(record, at, readers[MOVING].full, front.row_ready, rows[0])
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


# fmt: off
@borrowing_kernel
def put_cycle(
    record, places, memory, loaded, port, beat, strobes, w_last, dispatch, words, queues, reads, read_data, writes,
    data, enable, front, readers, commands, weights, rows, lanes, dma, stop,
):
    """All of a cycle but the tensor engine's results."""
    # fmt: on
    _put_port(record, places, memory, loaded, port, dispatch, stop.stopped, beat, strobes, w_last)
    _put_dispatch(record, places, dispatch, words, queues, stop)
    _put_reads(record, places, reads, read_data)
    _put_writes(record, places, writes, data, enable)
    _put_blocks(record, places, front, readers, commands, weights, rows, lanes, dma)
