"""Watches over a program: the first thing that must not be stops the core, and is kept."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.layouts import ERRORS, LIMIT_BITS, NUMBER_BITS, stop_layout
from arch.core.signals import read_ports, write_ports
from hw.lib.blocks import struct

__all__ = ["Watch", "causes"]


def causes(config: CoreConfig) -> tuple[str, ...]:
    """The error of each cause that a core may have to stop, the first that counts first.

    An illegal instruction; SBUF's read ports, then its write ports; the DMA queues' indices; memory's bursts to be
    read, to be written; its beats, its answers; the limit.
    """
    ports = len(read_ports(config)) + len(write_ports(config))
    return ("illegal", *["sbuf"] * ports, *["index"] * config.dma_queues, *["memory"] * 2, *["bus"] * 2, "limit")


class Watch(wiring.Component):
    """Keeps the first cause that holds while a program runs, until a reset.

    Latency: 1 cycle from a cause to ``o_stop``.

    Members
    -------
    i_running : ``In(1)``
        A program is.
    i_limit : ``In(32)``
        Cycles that it may take, 0 for any number.
    i_causes : ``In``
        Those of ``causes`` but the limit that hold in this cycle.
    i_numbers : array by cause
        The instruction at fault; of the limit too.
    o_stop : ``Out(struct(stop_layout()))``
    """

    module_name = "watch"
    LATENCY = 1

    def __init__(self, config: CoreConfig):
        self.causes = causes(config)
        super().__init__(
            {
                "i_running": In(1),
                "i_limit": In(LIMIT_BITS),
                "i_causes": In(len(self.causes) - 1),
                "i_numbers": In(NUMBER_BITS).array(len(self.causes)),
                "o_stop": Out(struct(stop_layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cycles, late = Signal(LIMIT_BITS), Signal()
        #: By cause: it holds; the first that does.
        holds, first = Signal(len(self.causes)), Signal(range(len(self.causes)))
        m.d.comb += [
            late.eq((self.i_limit != 0) & (cycles == self.i_limit)),
            holds.eq(Cat(self.i_causes, late)),
        ]
        for index in reversed(range(len(self.causes))):
            with m.If(holds[index]):
                m.d.comb += first.eq(index)
        m.d.sync += cycles.eq(Mux(self.i_running, cycles + ~self.o_stop.stopped, 0))
        errors = Array(Const(1 + ERRORS.index(error), len(self.o_stop.error)) for error in self.causes)
        with m.If(self.i_running & ~self.o_stop.stopped & holds.any()):
            m.d.sync += [
                self.o_stop.stopped.eq(1),
                self.o_stop.error.eq(errors[first]),
                self.o_stop.number.eq(Array(self.i_numbers)[first]),
            ]
        return m
