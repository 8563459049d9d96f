"""What the kernels of the cycle model work with: what an engine is built as, what is in it, and what waits for it."""

from typing import NamedTuple

import numpy as np

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import operand_layout, order_layout, pe_registers, readout_layout
from golden.tensor.arithmetic import Widths, narrow_table, operand_table, psum_words, widths

__all__ = ["COMMAND", "Hardware", "Queues", "State", "Tables", "build_hardware", "build_tables", "reset_state"]


def _fields(*names: str) -> np.dtype:
    return np.dtype([(name, np.int64) for name in names])


#: A command: the fields of ``command_layout``.
COMMAND = _fields(
    "tile_m", "tile_k", "tile_n", "base", "distance", "first", "last", "x_format", "w_format", "out_format", "saturate"
)
#: An activation row on its way.
ROW = _fields("valid", "swap", "address", "first", "last", "lanes", "columns")
#: An order to read a row of PSUM out; which row, only the read-out knows.
ORDER = _fields("valid", "address", "columns", "out_format", "saturate", "end")
#: Single numbers. Cycles are -1 before there is one.
COUNTERS = _fields(
    "cycle",  # simulated so far
    "loader_valid",  # there is a command whose weights load,
    "loaded",  # and so many of its beats have
    "executor_valid",  # there is a command whose rows are taken,
    "taken",  # and so many have been
    "in_flight",  # rows whose sums cannot be added to yet
    "occupied",  # PSUM rows of tiles in progress or not read out
    "rows_ready",  # finished rows that may be read out
    "read_row",  # the next one's PSUM row
    "advances",  # of the read-out
    "result_valid",
    "first_weight",  # cycle
    "last_store",  # cycle
    "last_take",  # cycle
    "rows_stored",
)


class Hardware(NamedTuple):
    """Numbers that do not change: sizes, latencies, places. Only numbers: an array in it would have its references
    counted wherever it is passed on."""

    rows: int
    cols: int
    depth: int
    store_latency: int
    read_latency: int
    drain_latency: int
    code_bits: int
    product_latency: int
    add_latency: int
    load_rows: int  # rows_per_load_cycle
    operand_bits: int
    weight_words: int
    pe_words: int
    end_at: int  # in readout_layout
    format_at: int
    saturate_at: int
    mode_at: int  # readout_layout in order_layout
    ring_mask: int
    arithmetic: Widths


class Tables(NamedTuple):
    """What does not change and is an array, by format select."""

    operands: np.ndarray  # uint32[4, codes]: packed operands by code
    narrow: np.ndarray  # golden.tensor.arithmetic.narrow_table()


class State(NamedTuple):
    """What changes from cycle to cycle."""

    counters: np.ndarray  # COUNTERS[1]
    loader: np.ndarray  # COMMAND[1]
    executor: np.ndarray  # COMMAND[1]
    presented: np.ndarray  # int64[3]: a beat is offered; by stream, as in a record
    position: np.ndarray  # int64[3]: beats taken of the queue
    rows: np.ndarray  # ROW[ring]: the activation row taken in a cycle
    row_operands: np.ndarray  # int64[ring, R]
    weight_rows: np.ndarray  # int64[ring]: the index in its tile of the weight beat taken in a cycle, or -1
    weight_operands: np.ndarray  # int64[ring, load_rows * C]
    seeds: np.ndarray  # int64[product_latency + 1, C, 2]: what is read of PSUM, by the cycle it arrives in
    memory: np.ndarray  # int64[depth, C, 2]: PSUM, in limbs
    orders: np.ndarray  # ORDER[depth]: how a row is read out, by its PSUM row
    stages: np.ndarray  # ORDER[stages]: rows in the read-out, by the number of the advance that read column 0
    stage_words: np.ndarray  # uint32[stages, C]: their codes
    read_words: np.ndarray  # int64[C, 2]: what each column last read for read-out, in limbs
    result: np.ndarray  # uint32[C + 1]: the payload of o_result
    pes: np.ndarray  # uint32[R * C * pe_words], as in a record
    products: np.ndarray  # int64[R * C]: what follows the product registers where product_latency is 2
    sums: np.ndarray  # int64[add_latency - 1, R * C, 3]: valid and the limbs of a sum on its way to the psum register


class Queues(NamedTuple):
    """Beats waiting at the inputs: payload words as in a record, and the commands' fields."""

    command_fields: np.ndarray  # COMMAND[n]
    commands: np.ndarray  # uint32[n, words]
    weights: np.ndarray  # uint32[n, words]
    activations: np.ndarray  # uint32[n, words]


def build_hardware(config: EngineConfig) -> Hardware:
    """The numbers of a configuration that the kernels work with."""
    weight_words = (pe_registers(config)["weight"] + 31) // 32
    readout = readout_layout(config)
    return Hardware(
        rows=config.rows,
        cols=config.cols,
        depth=config.psum_depth,
        store_latency=config.store_latency,
        read_latency=config.read_latency,
        drain_latency=config.drain_latency,
        code_bits=config.code_bits,
        product_latency=config.product_latency,
        add_latency=config.add_latency,
        load_rows=config.rows_per_load_cycle,
        operand_bits=operand_layout(config).width,
        weight_words=weight_words,
        pe_words=weight_words + 3 + widths(config).product_words + psum_words(config),
        end_at=readout.offset("end"),
        format_at=readout.offset("select"),
        saturate_at=readout.offset("saturate"),
        mode_at=order_layout(config).offset("columns"),
        ring_mask=(1 << (config.drain_latency + 1).bit_length()) - 1,
        arithmetic=widths(config),
    )


def build_tables(config: EngineConfig) -> Tables:
    """The tables of a configuration."""
    operands = np.zeros((len(FORMATS), 1 << config.code_bits), np.uint32)
    for fmt in config.operand_formats:
        # The high bits of a lane wider than the format are ignored.
        operands[fmt.select] = np.resize(operand_table(fmt, config), operands.shape[1])
    return Tables(operands, np.array(narrow_table()))


def reset_state(config: EngineConfig, hardware: Hardware) -> State:
    """Everything as reset leaves it, and PSUM zero."""
    ring, cols, pes = hardware.ring_mask + 1, config.cols, config.rows * config.cols
    stages = config.readout_latency + cols - 1
    counters = np.zeros(1, COUNTERS)
    for cycle in ("first_weight", "last_store", "last_take"):
        counters[cycle] = -1
    return State(
        counters=counters,
        loader=np.zeros(1, COMMAND),
        executor=np.zeros(1, COMMAND),
        presented=np.zeros(3, np.int64),
        position=np.zeros(3, np.int64),
        rows=np.zeros(ring, ROW),
        row_operands=np.zeros((ring, config.rows), np.int64),
        weight_rows=np.full(ring, -1, np.int64),
        weight_operands=np.zeros((ring, config.rows_per_load_cycle * cols), np.int64),
        seeds=np.zeros((config.product_latency + 1, cols, 2), np.int64),
        memory=np.zeros((config.psum_depth, cols, 2), np.int64),
        orders=np.zeros(config.psum_depth, ORDER),
        stages=np.zeros(stages, ORDER),
        stage_words=np.zeros((stages, cols), np.uint32),
        read_words=np.zeros((cols, 2), np.int64),
        result=np.zeros(cols + 1, np.uint32),
        pes=np.zeros(pes * hardware.pe_words, np.uint32),
        products=np.zeros(pes, np.int64),
        sums=np.zeros((config.add_latency - 1, pes, 3), np.int64),
    )
