"""The RTL of the adder, as ``hw`` has that of a unit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.lib.blocks import struct
from hw.lib.emission import emit_modules
from hw.lib.joining import join_modules

from .facts import AdderConfig, pair_layout, pairs_layout, sums_layout

__all__ = ["StreamAdder", "adder_verilog"]


class StreamAdder(wiring.Component):
    """Adds the two numbers of every lane.

    Latency: two cycles. Throughput: a beat per cycle; a stall of ``o`` stops all of it.

    Members
    -------
    i : ``In(stream.Signature(pairs_layout(config)))``
    o : ``Out(stream.Signature(sums_layout(config)))``
    """

    module_name = "stream_adder"

    def __init__(self, config: AdderConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(struct(pairs_layout(config)))),
                "o": Out(stream.Signature(struct(sums_layout(config)))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        waits = Signal()
        sums = []
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [waits.eq(self.i.valid), self.o.valid.eq(waits)]
        for lane in range(self.config.lanes):
            pair = Signal(struct(pair_layout(self.config)), name=f"pair_{lane}")
            total = Signal(self.config.width + 1, name=f"total_{lane}")
            with m.If(self.i.ready):
                m.d.sync += [pair.eq(self.i.payload[f"lane_{lane}"]), total.eq(pair.a + pair.b)]
            sums.append(total)
        m.d.comb += self.o.payload.eq(Cat(sums))
        return m


def adder_verilog(config: AdderConfig) -> str:
    """Verilog of it."""
    return join_modules(emit_modules(StreamAdder(config)))
