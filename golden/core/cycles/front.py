"""The tensor front end of the cycle model, and the engine behind it, a cycle of ``golden.tensor`` at a time."""

from typing import NamedTuple

import numpy as np

from arch.core.config import CoreConfig
from arch.elements import ELEMENTS
from arch.formats import FORMATS
from arch.tensor.layouts import activation_layout, command_layout, weight_layout
from golden.core.cycles.bits import put
from golden.core.cycles.readers import MOVING, STATIONARY
from golden.core.cycles.values import element_bytes
from golden.kernels import borrowing_kernel
from golden.tensor.sequencer import drained
from golden.tensor.state import COMMAND, Queues, State, Tables, build_hardware, build_tables, reset_state
from golden.tensor.state import Hardware as EngineHardware

__all__ = ["Engine", "build_engine", "clock_front", "decide_front", "idle", "note_ready", "offer_beats", "offer_front"]

#: ``Format.select`` of an element type.
_SELECT = np.array([e.format.select if e.format else 0 for e in ELEMENTS.values()])
_FP32 = FORMATS["fp32"].select


class Engine(NamedTuple):
    """A tensor engine with room for one beat at each input, and the words of its ports in a cycle."""

    hardware: EngineHardware
    tables: Tables
    state: State
    queues: Queues
    numbers: np.ndarray  # int64[fields]: the command's, the same memory
    ports: np.ndarray  # uint32[1, words]: a record without registers
    widths: np.ndarray  # int64[fields]: of a command


def build_engine(config: CoreConfig) -> Engine:
    """An engine after reset."""
    engine = config.engine
    hardware = build_hardware(engine)
    layouts = (command_layout(engine), weight_layout(engine), activation_layout(engine))
    beats = [np.zeros((1, (layout.width + 31) // 32), np.uint32) for layout in layouts]
    fields = np.zeros(1, COMMAND)
    words = 8 + sum(beat.shape[1] for beat in beats) + engine.cols + 1
    return Engine(
        hardware,
        build_tables(engine),
        reset_state(engine, hardware),
        Queues(fields, *beats),
        fields.view(np.int64),
        np.zeros((1, words), np.uint32),
        np.array([*layouts[0].fields.values()]),
    )


@borrowing_kernel
def _put_codes(words, reader, data, code_bits):
    """A beat of the engine: a code of each lane's word."""
    words[:] = 0
    bits = min(8 * reader.element_bytes, code_bits)
    at = 0
    for lane in range(data.size):
        put(words, at, np.int64(data[lane]) >> 8 * reader.offset, bits)
        at += code_bits


@borrowing_kernel
def _put_command(front, code, h, fields, numbers, words, widths):
    """The command that is offered."""
    tile, rows = front.tile, front.rows
    fields.tile_m = rows
    fields.tile_k = min(h.lanes, code.depth - h.lanes * tile)
    fields.tile_n = code.lanes
    fields.base = front.base
    fields.distance = min(rows, h.store_latency)
    fields.first = tile == 0
    fields.last = tile + 1 == front.tiles
    fields.x_format = _SELECT[code.x_type]
    fields.w_format = _SELECT[code.w_type]
    fields.out_format = _FP32
    fields.saturate = 0
    words[:] = 0
    at = np.int64(0)
    for index in range(widths.size):
        at = put(words, at, numbers[index], widths[index])


@borrowing_kernel
def _offer_patterns(front, code, patterns, h):
    """Offer the tile's stationary and the instruction's moving pattern."""
    if not front.weights_sent:
        pattern = patterns[STATIONARY]
        pattern.valid = 1
        pattern.number = front.number
        pattern.address = code.w_address + front.tile * code.w_tile_stride
        pattern.bytes = element_bytes(code.w_type)
        pattern.count0 = min(h.lanes, code.depth - h.lanes * front.tile)
        pattern.count1 = pattern.count2 = 1
        pattern.stride0 = code.w_stride
        pattern.stride1 = pattern.stride2 = 0
    if not front.moving_sent:
        pattern = patterns[MOVING]
        pattern.valid = 1
        pattern.number = front.number
        pattern.address = code.x_address
        pattern.bytes = element_bytes(code.x_type)
        pattern.count0, pattern.count1, pattern.count2 = code.count0, code.count1, front.tiles
        pattern.stride0, pattern.stride1, pattern.stride2 = code.x_stride0, code.x_stride1, code.x_tile_stride


@borrowing_kernel
def offer_front(front, code, patterns, h, command_fields, command_numbers, commands, widths):
    """What the front end offers to the engine and to its readers, from registers alone."""
    front.command_valid = front.valid and not front.command_sent
    if front.command_valid:
        _put_command(front, code, h, command_fields[0], command_numbers, commands[0], widths)
    if front.valid:
        _offer_patterns(front, code, patterns, h)


@borrowing_kernel
def offer_beats(front, readers, held, read_data, weights, rows, position, code_bits):
    """What is offered to the engine in this cycle: ``position`` is 0 of a queue that has its beat, 1 of the others."""
    weight, row = readers[STATIONARY], readers[MOVING]
    position[0], position[1], position[2] = not front.command_valid, not weight.full, not row.full
    if weight.full:
        data = read_data[STATIONARY] if weight.fresh else held[STATIONARY]
        _put_codes(weights[0], weight, data, code_bits)
    if row.full:
        data = read_data[MOVING] if row.fresh else held[MOVING]
        _put_codes(rows[0], row, data, code_bits)


@borrowing_kernel
def idle(n, stages, position, drain_latency):
    """Whether the engine may stand still: nothing is offered, and nothing is under way."""
    return drained(n, position, stages, (1, 1, 1), drain_latency)


@borrowing_kernel
def note_ready(front, ports, cols):
    """What the engine is ready for, as its record says."""
    at = ports.size - cols - 5
    front.command_ready, front.weight_ready, front.row_ready = ports[at], ports[at + 1], ports[at + 2]


@borrowing_kernel
def decide_front(front, readers, patterns, may_start):
    """What follows from what is taken: whether an instruction is complete, and whether the next is taken."""
    command = front.command_sent or (front.command_valid and front.command_ready)
    weights = front.weights_sent or patterns[STATIONARY].taken
    moving = front.moving_sent or patterns[MOVING].taken
    leaves = front.valid and command and weights and moving and front.tile + 1 == front.tiles
    front.start = may_start and (not front.valid or leaves)
    row = readers[MOVING]
    front.complete = row.full and front.row_ready and row.last
    return leaves


@borrowing_kernel
def clock_front(front, code, number, patterns, leaves, h):
    """At the edge. ``code``, ``number``: of the slot's instruction, the new one's already if one is taken."""
    command = front.command_sent or (front.command_valid and front.command_ready)
    weights = front.weights_sent or patterns[STATIONARY].taken
    if front.valid:
        front.command_sent, front.weights_sent = command, weights
        front.moving_sent = front.moving_sent or patterns[MOVING].taken
        if command and weights and front.tile + 1 < front.tiles:
            front.tile += 1
            front.command_sent = front.weights_sent = 0
    if leaves:
        front.base = (front.base + front.rows) & h.psum_depth - 1
        front.valid = 0
    if front.start:
        front.valid = 1
        front.number = number
        front.tile = front.command_sent = front.weights_sent = front.moving_sent = 0
        front.rows = code.count0 * code.count1
        front.tiles = (code.depth + h.lanes - 1) // h.lanes
