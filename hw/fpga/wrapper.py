"""Registers around a block that is placed and routed alone, so that a device's pins do not limit it."""

from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.fpga.ecp5 import ECP5, spread

__all__ = ["Wrapper"]

#: Inputs of the gates that fold the outputs: those of one LUT.
FOLD = 4


class Wrapper(wiring.Component):
    """Feeds every input of ``block`` from one pin, and shows every output at another, through registers only.

    Inputs are the bits of one long shift register. Outputs are captured in registers, then folded by exclusive-or,
    four to one and a register in each level: no bit of the block can be optimised away, and no path of the wrapper is
    longer than one LUT. The reset is registered once, and in an ECP5 comes to a ``large`` block by a global net; for
    an iCE40 nextpnr sees to that itself. The block is an instance of its ``module_name``, to be synthesised apart.

    Latency: of no meaning; what comes out only depends on everything the block does.

    Members
    -------
    i : ``In(1)``
        Next bit of the inputs.
    o : ``Out(1)``
        Parity of all outputs.
    """

    module_name = "fpga_top"

    def __init__(self, block: wiring.Component, *, large: bool = False):
        self.block, self.large = block, large
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        inputs, outputs, connections = [], [], {}
        for path, member, _ in self.block.signature.flatten(self.block):
            port = "__".join(map(str, path))
            signal = Signal(Shape.cast(member.shape).width, name=port)
            (outputs if member.flow == Out else inputs).append(signal)
            connections[f"{'o' if member.flow == Out else 'i'}_{port}"] = signal
        if not getattr(self.block, "COMBINATIONAL", False):
            reset = Signal(reset_less=True)
            m.d.sync += reset.eq(ResetSignal())
            if self.large and platform == ECP5:
                reset = spread(m, "reset", reset)
            connections |= {"i_clk": ClockSignal(), "i_rst": reset}
        m.submodules.block = Instance(self.block.module_name, **connections)

        shift = Signal(sum(len(signal) for signal in inputs), reset_less=True)
        m.d.sync += shift.eq(Cat(self.i, shift))
        m.d.comb += Cat(inputs).eq(shift)

        folded: Value = Cat(outputs)
        level = 0
        while True:
            register = Signal(len(folded), name=f"level_{level}", reset_less=True)
            m.d.sync += register.eq(folded)
            if len(register) == 1:
                break
            groups = range(0, len(register), FOLD)
            folded = Cat(register[at : at + FOLD].xor() for at in groups)
            level += 1
        m.d.comb += self.o.eq(register)
        return m
