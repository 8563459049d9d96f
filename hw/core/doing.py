"""What a queue is doing, for whoever measures a program."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.layouts import DOINGS

__all__ = ["Doing"]


class Doing(wiring.Component):
    """Sorts the cycles of a queue.

    Latency: 0 cycles.

    Members
    -------
    i_outstanding, i_level : ``In``
        Instructions that it has, and those of them that wait in the queue.
    i_take, i_conflict, i_lacks : ``In(1)``
        One starts; a port of SBUF is valid and not granted; what is at work lacks something else.
    o_doing : ``Out``
        One of ``DOINGS`` by its number.
    """

    module_name = "doing"
    COMBINATIONAL = True

    def __init__(self, config: CoreConfig):
        super().__init__(
            {
                "i_outstanding": In(config.outstanding_bits),
                "i_level": In(range(config.queue_depth + 1)),
                "i_take": In(1),
                "i_conflict": In(1),
                "i_lacks": In(1),
                "o_doing": Out(range(len(DOINGS))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        empty, order, conflict, stream, busy = range(len(DOINGS))
        works = Mux(self.i_conflict, conflict, Mux(self.i_lacks, stream, busy))
        waits = Mux(self.i_take, busy, Mux(self.i_level != 0, order, empty))
        at_work = Signal()
        m.d.comb += [
            at_work.eq(self.i_outstanding > self.i_level),
            self.o_doing.eq(Mux(at_work, works, waits)),
        ]
        return m
