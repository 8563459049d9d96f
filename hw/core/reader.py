"""Reads the elements of an access pattern out of SBUF, a row of lanes at a time."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.layouts import PORT_ROW_BITS
from arch.layout import Layout
from hw.core.walk import Walk, pattern_shape
from hw.lib.blocks import struct

__all__ = ["Reader"]


class Reader(wiring.Component):
    """Gives the elements of one pattern after another, with the word of each lane that holds the element.

    A row is asked for once for all elements that follow each other in it: four FP8 numbers with stride 1 take one read.

    Latency: 2 cycles from a pattern taken to its first element, while the read is granted at once.
    Throughput: one element per cycle, from one pattern to the next too.

    Members
    -------
    i : ``In(stream.Signature(pattern_shape()))``
        Patterns.
    o : ``Out(stream.Signature)``
        ``data``, the row with the element; ``offset``, its byte in the words; ``last`` of its pattern. All 0 but while
        valid.
    o_read_valid, o_read_row, i_read_grant, i_read_data
        A read port of SBUF, which may have no such row.
    """

    module_name = "reader"
    LATENCY = 2

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(pattern_shape())),
                "o": Out(stream.Signature(struct(Layout(data=config.row_bits, offset=2, last=1)))),
                "o_read_valid": Out(1),
                "o_read_row": Out(PORT_ROW_BITS),
                "i_read_grant": In(1),
                "i_read_data": In(config.row_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        walk = Walk(m, "walk")
        active = Signal()
        # The row that the element before lies in, if it was of this pattern.
        tag = Signal(PORT_ROW_BITS)
        tagged = Signal()
        # Its element is on offer: in the cycle after the read its row is on the port, then it is held.
        fresh = Signal()
        held = Signal(self.config.row_bits, reset_less=True)
        offset, last = Signal(2), Signal()
        row = walk.address[2:]
        needs, room, granted, step = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq(~self.o.valid | self.o.ready),
            needs.eq(active & ~(tagged & (tag == row))),
            self.o_read_valid.eq(needs & room),
            self.o_read_row.eq(Mux(self.o_read_valid, row, 0)),
            granted.eq(self.o_read_valid & self.i_read_grant),
            step.eq(active & room & (granted | ~needs)),
            self.i.ready.eq(~active | (step & walk.last)),
            self.o.payload.data.eq(Mux(self.o.valid, Mux(fresh, self.i_read_data, held), 0)),
            self.o.payload.offset.eq(Mux(self.o.valid, offset, 0)),
            self.o.payload.last.eq(self.o.valid & last),
        ]
        m.d.sync += [self.o.valid.eq(step | (self.o.valid & ~self.o.ready)), fresh.eq(granted)]
        with m.If(fresh):
            m.d.sync += held.eq(self.i_read_data)
        with m.If(step):
            m.d.sync += [offset.eq(walk.address[:2]), last.eq(walk.last), *walk.step()]
            with m.If(walk.last):
                m.d.sync += active.eq(0)
        with m.If(granted):
            m.d.sync += [tagged.eq(1), tag.eq(row)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [active.eq(1), tagged.eq(0), *walk.load(self.i.payload)]
        return m
