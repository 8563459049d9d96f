"""Read-out: finished PSUM rows are rounded, converted and handed to the result stream."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout, readout_layout, result_layout
from hw.arithmetic.rounder import Rounder
from hw.arithmetic.stages import narrow_stages, round_stages
from hw.fpga.ecp5 import ECP5, spread
from hw.lib.blocks import place, struct
from hw.lib.delay import StallingDelay
from hw.lib.memory import SyncMemory

__all__ = ["Readout"]


class Readout(wiring.Component):
    """Reads finished rows in ring order, one per cycle, column after column.

    The read of a row goes east as its wavefront did, a column per cycle, and what is known of the row goes with it.
    Columns wait for those to the east of them when they are rounded: rows leave whole.

    Latency: ``config.readout_latency + config.cols - 1`` cycles from the read of column 0 to ``o.valid``, while ``o``
    does not stall.
    Throughput: one row per cycle. A stall of ``o`` stops the whole pipeline; rows wait in PSUM.

    Members
    -------
    i_row_en, i_row_address, i_row : ``In``
        How to read out the PSUM row at that address; given when its last activation row is taken.
    i_finished : ``In(1)``
        Another row, in ring order, is stored in column 0.
    o_advance : ``Out(1)``
        The read-out moves in this cycle.
    o_read_address : ``Out``
        The row that column 0 reads while the read-out moves.
    o_freed : ``Out(1)``
        A row is read in the last column.
    i_psums : ``In(psum * cols)``
        What the columns read last, column 0 in the low bits.
    o : ``Out(stream.Signature(result_layout(config)))``
        Finished rows. The payload is 0 while it is not valid.
    """

    module_name = "readout"

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__(
            {
                "i_row_en": In(1),
                "i_row_address": In(config.address_bits),
                "i_row": In(struct(readout_layout(config))),
                "i_finished": In(1),
                "o_advance": Out(1),
                "o_read_address": Out(config.address_bits),
                "o_freed": Out(1),
                "i_psums": In(psum_layout(config).width * config.cols),
                "o": Out(stream.Signature(struct(result_layout(config)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        # Two names for one value: a stall stops registers of all columns at once, of 16 more than ten thousand.
        advance = Signal()
        rows_ready = Signal(range(config.psum_depth + 1))
        # rows_ready > 0, known a cycle early: the sequencer counts with what is read.
        row_waits = Signal()
        read_en = Signal()
        address = self.o_read_address
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.o_advance.eq(spread(m, "advance", advance) if platform == ECP5 else advance),
            read_en.eq(advance & row_waits),
        ]
        m.d.sync += [
            rows_ready.eq(rows_ready + self.i_finished - read_en),
            row_waits.eq(self.i_finished | (rows_ready > 1) | (row_waits & ~advance)),
        ]
        with m.If(read_en):
            m.d.sync += address.eq(Mux(address == config.psum_depth - 1, 0, address + 1))

        # What is known of the row is kept beside the banks, at the same address, and read with them.
        rows = place(
            m,
            "rows",
            SyncMemory,
            readout_layout(config).width,
            config.psum_depth,
            1,
            "any",
            write__en=self.i_row_en,
            write__address=self.i_row_address,
            write__data=self.i_row,
            reads__0__en=read_en,
            reads__0__address=address,
        )

        # Stages after the read of column 0: memory word, those of rounding, those of the conversion, result. Column c
        # is c stages behind.
        last = config.cols - 1
        depth = round_stages(config) + narrow_stages(config)
        stages = Signal(depth + 1 + last)
        rows_ahead = [Signal(struct(readout_layout(config)), name=f"row_{index}") for index in range(depth + last)]
        tile_ends = Signal()
        with m.If(self.o_advance):
            m.d.sync += [
                stages.eq(Cat(row_waits, stages)),
                rows_ahead[0].eq(rows.reads[0].data),
                *(row.eq(before) for before, row in pairwise(rows_ahead)),
                self.o.valid.eq(stages[-1]),
                tile_ends.eq(stages[-1] & rows_ahead[-1].end),
            ]
        m.d.comb += self.o_freed.eq(advance & Cat(row_waits, stages)[last])
        codes = []
        width = psum_layout(config).width
        for col in range(config.cols):
            rounded, row = rows_ahead[round_stages(config) - 1 + col], rows_ahead[depth - 2 + col]
            ports = place(
                m,
                f"rounder_{col}",
                Rounder,
                config,
                i_en=self.o_advance,
                i_psum=self.i_psums.word_select(col, width),
                i_select=rounded.select,
                i_saturate=rounded.saturate,
            )
            in_use = Signal(name=f"in_use_{col}")
            with m.If(self.o_advance):
                m.d.sync += in_use.eq(stages[depth - 1 + col] & (row.columns > col))
            code = Mux(in_use, ports.o_code, 0)
            line = place(
                m, f"wait_{col}", StallingDelay, len(ports.o_code), config.cols - col, en=self.o_advance, i=code
            )
            codes.append(line.o)
        m.d.comb += [self.o.payload.codes.eq(Cat(codes)), self.o.payload.last.eq(tile_ends)]
        return m
