"""Read-out: finished PSUM rows are rounded, converted and handed to the result stream."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import psum_layout, result_layout
from hw.arithmetic.rounder import Rounder, narrow_stages, round_stages
from hw.blocks import place, struct
from hw.fpga.ecp5 import ECP5, spread

__all__ = ["Readout", "row_shape"]


def row_shape(config: EngineConfig) -> data.StructLayout:
    """How a row of PSUM is to be read out; ``end`` marks the last row of its tile."""
    return data.StructLayout({"columns": range(config.cols + 1), "end": 1, "select": 2, "saturate": 1})


class Readout(wiring.Component):
    """Reads finished rows in ring order, one per cycle, all columns at once.

    Latency: ``config.readout_latency`` cycles from the read of a row to ``o.valid``, while ``o`` does not stall.
    Throughput: one row per cycle. A stall of ``o`` stops the whole pipeline; rows wait in PSUM.

    Members
    -------
    i_row_en, i_row_address, i_row : ``In``
        How to read out the PSUM row at that address; given when its last activation row is taken.
    i_finished : ``In(1)``
        Another row, in ring order, is stored in all columns.
    o_read_en, o_read_address : ``Out``
        Read request to every bank; a high enable counts the row as read out.
    i_psums : ``In(psum * cols)``
        The row, column 0 in the low bits, in the cycle after the request.
    o : ``Out(stream.Signature(result_layout(config)))``
        Finished rows.
    """

    module_name = "readout"

    def __init__(self, config: EngineConfig):
        self.config = config
        address = range(max(2, config.psum_depth))
        super().__init__(
            {
                "i_row_en": In(1),
                "i_row_address": In(address),
                "i_row": In(row_shape(config)),
                "i_finished": In(1),
                "o_read_en": Out(1),
                "o_read_address": Out(address),
                "i_psums": In(psum_layout(config).width * config.cols),
                "o": Out(stream.Signature(struct(result_layout(config)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        advance = Signal()
        rows_ready = Signal(range(config.psum_depth + 1))
        # rows_ready > 0, known a cycle early: the sequencer counts with what is read.
        row_waits = Signal()
        address = Signal.like(self.o_read_address)
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.o_read_en.eq(advance & row_waits),
            self.o_read_address.eq(address),
        ]
        m.d.sync += [
            rows_ready.eq(rows_ready + self.i_finished - self.o_read_en),
            row_waits.eq(self.i_finished | (rows_ready > 1) | (row_waits & ~advance)),
        ]
        with m.If(self.o_read_en):
            m.d.sync += address.eq(Mux(address == config.psum_depth - 1, 0, address + 1))

        # What is known of the row is kept beside the banks, at the same address, and read with them.
        m.submodules.rows = rows = Memory(shape=row_shape(config), depth=config.psum_depth, init=[])
        write_port = rows.write_port()
        read_port = rows.read_port()
        m.d.comb += [
            write_port.en.eq(self.i_row_en),
            write_port.addr.eq(self.i_row_address),
            write_port.data.eq(self.i_row),
            read_port.en.eq(self.o_read_en),
            read_port.addr.eq(address),
        ]

        # Stages after the read: memory word, those of rounding, those of the conversion, result.
        stages = Signal(config.readout_latency - 1)
        first = Signal(row_shape(config))
        rows_ahead = [first]
        for index in range(1, round_stages(config) + narrow_stages(config)):
            rows_ahead.append(Signal(row_shape(config), name=f"row_{index}"))
        with m.If(advance):
            m.d.sync += [
                stages.eq(Cat(self.o_read_en, stages)),
                first.eq(read_port.data),
                *(row.eq(before) for before, row in pairwise(rows_ahead)),
                self.o.valid.eq(stages[-1]),
            ]
        # A stall stops the registers of all columns at once: of 16, more than six thousand.
        enable = spread(m, "advance", advance) if platform == ECP5 else advance
        rounded, row = rows_ahead[round_stages(config) - 1], rows_ahead[-1]
        codes = []
        width = psum_layout(config).width
        for col in range(config.cols):
            ports = place(
                m,
                f"rounder_{col}",
                Rounder,
                config,
                i_en=enable,
                i_psum=self.i_psums.word_select(col, width),
                i_select=rounded.select,
                i_saturate=rounded.saturate,
            )
            codes.append(Mux(row.columns > col, ports.o_code, 0))
        with m.If(advance & stages[-1]):
            m.d.sync += [self.o.payload.codes.eq(Cat(codes)), self.o.payload.last.eq(row.end)]
        return m
