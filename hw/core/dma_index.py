"""The indices of an indirect DMA: read, compared, and made into distances from lane to lane."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import INSTRUCTIONS, MEMORY_BITS, instruction_layout
from arch.core.layouts import PORT_ROW_BITS
from hw.core.dma_side import LANE_BITS
from hw.lib.blocks import struct

__all__ = ["DmaIndex"]

_FIELDS = {entry.name: entry for entry in INSTRUCTIONS["dma"]}
_NONE = _FIELDS["indirect"].names.index("none")
_ERROR = _FIELDS["out_of_range"].names.index("error")
_WORD_BITS = 8 * WORD_BYTES


class DmaIndex(wiring.Component):
    """Runs the phase INDEX of a DMA queue, and keeps what the phase after it needs.

    Lane p lies ``index[p] * pitch`` from the address on. A walk goes from lane to lane, so kept is how far each lies
    from the one before, modulo 2 ** 40: one multiplier makes them, lane after lane. A lane that is left out has the
    index 0.

    Latency: 4 cycles, and one for each lane, from the grant of the read to the first cycle that is not ``o_active``.

    Members
    -------
    i_take : ``In(1)``, i_instruction : ``In(struct(instruction_layout("dma")))``
        An instruction is taken; the phase begins with the next cycle if one of its sides is indirect.
    i_pitch, i_lanes : ``In``
        Those of the instruction taken, from the next cycle on.
    i_place : ``In(7)``
        Where ``o_skips`` has lane 0, likewise.
    o_read_valid, o_read_row, i_read_grant, i_read_data
        A read port of SBUF.
    o_active, o_ends : ``Out(1)``
        The phase is on; it ends with this cycle.
    o_error : ``Out(1)``
        An index is looked at that is out of range, and the instruction says that this is an error.
    o_begins : ``Out(1)``, o_distance : ``Out(40)``
        The lane at hand is the first one, once; where it lies, from the address on.
    i_burst, i_beat : ``In``, o_burst, o_beat : ``Out(40)``
        After the phase: the numbers of two lanes, and the distance of each from the lane before.
    o_skips : ``Out(lanes)``
        Lanes that are left out, none for an instruction that is not indirect.
    """

    module_name = "dma_index"

    def __init__(self, config: CoreConfig):
        self.config = config
        lane = range(config.lanes)
        super().__init__(
            {
                "i_take": In(1),
                "i_instruction": In(struct(instruction_layout("dma"))),
                "i_pitch": In(signed(32)),
                "i_lanes": In(LANE_BITS),
                "i_place": In(7),
                "o_read_valid": Out(1),
                "o_read_row": Out(PORT_ROW_BITS),
                "i_read_grant": In(1),
                "i_read_data": In(config.row_bits),
                "o_active": Out(1),
                "o_ends": Out(1),
                "o_error": Out(1),
                "o_begins": Out(1),
                "o_distance": Out(MEMORY_BITS),
                "i_burst": In(lane),
                "i_beat": In(lane),
                "o_burst": Out(MEMORY_BITS),
                "o_beat": Out(MEMORY_BITS),
                "o_skips": Out(config.lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        instruction = self.i_instruction
        row = Signal(len(instruction.index_address) - 2)
        self.limit, self.refuses = Signal.like(instruction.index_limit), Signal()
        with m.If(self.i_take):
            m.d.sync += [
                self.o_active.eq(instruction.indirect != _NONE),
                self.o_read_valid.eq(instruction.indirect != _NONE),
                row.eq(instruction.index_address[2:]),
                self.limit.eq(instruction.index_limit),
                self.refuses.eq(instruction.out_of_range == _ERROR),
                self.o_skips.eq(0),
            ]
        m.d.comb += self.o_read_row.eq(Mux(self.o_read_valid, row, 0))
        with m.If(self.o_read_valid & self.i_read_grant):
            m.d.sync += self.o_read_valid.eq(0)
        self._look(m)
        self._multiply(m)
        with m.If(self.o_ends):
            m.d.sync += self.o_active.eq(0)
        return m

    def _look(self, m: Module) -> None:
        """One lane after the other, from the second cycle after the grant on."""
        comes = Signal()
        indices = Signal(self.config.row_bits, reset_less=True)
        lane, outside = Signal(LANE_BITS), Signal()
        #: An index is looked at; then it is multiplied; then the product is there.
        self.looks, self.multiplies, self.there = Signal(), Signal(), Signal()
        self.factor = Signal(_WORD_BITS)
        index = indices[:_WORD_BITS]
        m.d.comb += [
            outside.eq(self.looks & (index >= self.limit)),
            self.o_error.eq(outside & self.refuses),
        ]
        m.d.sync += [comes.eq(self.o_read_valid & self.i_read_grant), self.multiplies.eq(self.looks)]
        m.d.sync += self.factor.eq(Mux(outside, 0, index))
        with m.If(comes):
            m.d.sync += [indices.eq(self.i_read_data), self.looks.eq(1), lane.eq(0)]
        with m.Elif(self.looks):
            m.d.sync += [indices.eq(indices >> _WORD_BITS), lane.eq(lane + 1), self.looks.eq(lane + 1 != self.i_lanes)]
        place = Signal(range(self.config.lanes))
        m.d.comb += place.eq(lane + self.i_place)
        with m.If(outside):
            m.d.sync += self.o_skips.bit_select(place, 1).eq(1)

    def _multiply(self, m: Module) -> None:
        """Distances from products, and the memory of them."""
        product, before = Signal(MEMORY_BITS), Signal(MEMORY_BITS)
        lane = Signal(range(self.config.lanes))
        m.d.sync += [product.eq(self.factor * self.i_pitch), self.there.eq(self.multiplies)]
        m.d.comb += [
            self.o_distance.eq(product - before),
            self.o_begins.eq(self.there & (lane == 0)),
            self.o_ends.eq(self.there & ~self.multiplies),
        ]
        with m.If(self.i_take):
            m.d.sync += [before.eq(0), lane.eq(0)]
        with m.Elif(self.there):
            m.d.sync += [before.eq(product), lane.eq(lane + 1)]
        # Read in the same cycle, and never while one is written.
        m.submodules.words = words = memory.Memory(shape=MEMORY_BITS, depth=self.config.lanes, init=[])
        write = words.write_port()
        m.d.comb += [write.en.eq(self.there), write.addr.eq(lane), write.data.eq(self.o_distance)]
        for number, distance in ((self.i_burst, self.o_burst), (self.i_beat, self.o_beat)):
            read = words.read_port(domain="comb")
            m.d.comb += [read.addr.eq(number), distance.eq(read.data)]
