"""Read-out: finished PSUM rows are rounded, converted and handed to the result stream."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, Value
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
        # advance is o_advance: on an ECP5 that is a global net, for a stall stops the registers of all columns at
        # once, with 16 columns more than ten thousand of them.
        self.advance = Signal()
        # A row waits to be read, and is read in this cycle.
        self.row_waits = Signal()
        self.read_en = Signal()
        self._requests(m, spread(m, "advance", self.advance) if platform == ECP5 else self.advance)
        # Column 0 goes through a memory word, the stages of rounding and those of the conversion to the result, and
        # column c is c stages behind.
        depth = round_stages(config) + narrow_stages(config)
        self.stages = Signal(depth + config.cols)
        self.rows = [
            Signal(struct(readout_layout(config)), name=f"row_{index}") for index in range(depth + config.cols - 1)
        ]
        self._pipeline(m)
        codes = [self._column(m, col) for col in range(config.cols)]
        m.d.comb += [self.o.payload.codes.eq(Cat(codes)), self.o.payload.last.eq(self.tile_ends)]
        return m

    def _requests(self, m: Module, everywhere: Value) -> None:
        """The next row that column 0 reads, as soon as it is stored; ``everywhere`` is what moves the pipeline."""
        rows_ready = Signal(range(self.config.psum_depth + 1))
        address = self.o_read_address
        m.d.comb += [
            self.advance.eq(~self.o.valid | self.o.ready),
            self.o_advance.eq(everywhere),
            self.read_en.eq(self.advance & self.row_waits),
        ]
        m.d.sync += [
            rows_ready.eq(rows_ready + self.i_finished - self.read_en),
            # rows_ready > 0, known a cycle early: the sequencer counts with what is read.
            self.row_waits.eq(self.i_finished | (rows_ready > 1) | (self.row_waits & ~self.advance)),
        ]
        with m.If(self.read_en):
            m.d.sync += address.eq(Mux(address == self.config.psum_depth - 1, 0, address + 1))

    def _pipeline(self, m: Module) -> None:
        """Rows on their way: whether there is one at each stage, and how it is to be read out."""
        # That is kept beside the banks, at the row's address, and read with them.
        rows = place(
            m,
            "rows",
            SyncMemory,
            readout_layout(self.config).width,
            self.config.psum_depth,
            1,
            "any",
            write__en=self.i_row_en,
            write__address=self.i_row_address,
            write__data=self.i_row,
            reads__0__en=self.read_en,
            reads__0__address=self.o_read_address,
        )
        self.tile_ends = Signal()
        with m.If(self.o_advance):
            m.d.sync += [
                self.stages.eq(Cat(self.row_waits, self.stages)),
                self.rows[0].eq(rows.reads[0].data),
                *(row.eq(before) for before, row in pairwise(self.rows)),
                self.o.valid.eq(self.stages[-1]),
                self.tile_ends.eq(self.stages[-1] & self.rows[-1].end),
            ]
        last_reads = Cat(self.row_waits, self.stages)[self.config.cols - 1]
        m.d.comb += self.o_freed.eq(self.advance & last_reads)

    def _column(self, m: Module, col: int) -> Value:
        """A column's code, rounded where it is and held until the columns to the east have theirs."""
        config = self.config
        width, depth = psum_layout(config).width, round_stages(config) + narrow_stages(config)
        rounded, row = self.rows[round_stages(config) - 1 + col], self.rows[depth - 2 + col]
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
            m.d.sync += in_use.eq(self.stages[depth - 1 + col] & (row.columns > col))
        code = Mux(in_use, ports.o_code, 0)
        cycles = config.cols - col
        return place(m, f"wait_{col}", StallingDelay, len(ports.o_code), cycles, en=self.o_advance, i=code).o
