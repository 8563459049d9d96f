"""Registers between two streams, so that no path goes through, in either direction."""

from amaranth.hdl import Module, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterSlice"]


class RegisterSlice(wiring.Component):
    """Gives out what it takes in, in order, every output a register.

    It holds two payloads: the one that is offered, and one that was taken in the cycle in which ``o`` stalled, for
    ``i.ready`` is told a cycle ahead. A reset empties it.

    Latency: 1 cycle.
    Throughput: one payload per cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of a payload.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    """

    module_name = "register_slice"
    LATENCY = 1

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        taken = Value.cast(self.i.payload)
        # What is not valid means nothing, after a reset too.
        offered = Signal(len(taken), reset_less=True)
        spare = Signal(len(taken), reset_less=True)
        spare_valid = Signal()
        # ``i.ready`` is a register, but for a NOT.
        m.d.comb += [self.i.ready.eq(~spare_valid), Value.cast(self.o.payload).eq(offered)]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [self.o.valid.eq(spare_valid | self.i.valid), spare_valid.eq(0)]
            with m.If(spare_valid):
                m.d.sync += offered.eq(spare)
            with m.Else():
                m.d.sync += offered.eq(taken)
        with m.Elif(~spare_valid):
            m.d.sync += [spare_valid.eq(self.i.valid), spare.eq(taken)]
        return m
