"""The multiplier of a PE: two decoded operands into one exact product."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.layout import Layout
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import operand_layout, product_layout
from hw.fpga.ecp5 import ECP5, multiply
from hw.lib.blocks import struct

__all__ = ["Multiplier", "payload_shape"]


def payload_shape(config: EngineConfig) -> data.StructLayout:
    """The product without its tags."""
    fields = product_layout(config).fields
    return struct(Layout(**{n: w for n, w in fields.items() if n not in ("valid", "enable")}))


class Multiplier(wiring.Component):
    """Multiplies two operands exactly; the significand multiplier is as wide as the widest format built in.

    FP8 arrays get a 4 x 4-bit multiplier, arrays with BF16 an 8 x 8-bit one, arrays of integer operands an 18 x 18-bit
    one, which FPGAs have. NaN operands and
    0 x Inf give NaN; the sign of a NaN is 0.

    Latency: 0 cycles (combinational).

    Members
    -------
    i_x, i_w : ``In(operand_layout(config))``
        Activation and weight.
    o : ``Out(payload_shape(config))``
        The product.
    """

    module_name = "multiplier"
    COMBINATIONAL = True

    def __init__(self, config: EngineConfig):
        self.config = config
        operand = struct(operand_layout(config))
        super().__init__({"i_x": In(operand), "i_w": In(operand), "o": Out(payload_shape(config))})

    def elaborate(self, platform):
        m = Module()
        x, w = self.i_x, self.i_w
        nan = Signal()
        inf = Signal()
        if self.config.has_inf:
            # A zero is finite with a zero significand; Inf and NaN have zero significands too.
            x_zero = ~x.significand.any() & ~x.inf & ~x.nan
            w_zero = ~w.significand.any() & ~w.inf & ~w.nan
            m.d.comb += [
                nan.eq(x.nan | w.nan | (x.inf & w_zero) | (x_zero & w.inf)),
                inf.eq((x.inf | w.inf) & ~nan),
            ]
        else:
            m.d.comb += nan.eq(x.nan | w.nan)
        m.d.comb += [
            self.o.magnitude.eq(
                multiply(m, "product", x.significand, w.significand)
                if platform == ECP5 and not self.config.integer_operands
                else x.significand * w.significand
            ),
            self.o.sign.eq((x.sign ^ w.sign) & ~nan),
        ]
        if not self.config.integer_operands:
            m.d.comb += self.o.exponent.eq(x.exponent + w.exponent)
        if not self.config.exact:
            m.d.comb += self.o.nan.eq(nan)
            if self.config.has_inf:
                m.d.comb += self.o.inf.eq(inf)
        elif self.config.has_inf:
            # +Inf is bit 0, -Inf bit 1, NaN both: flags combine by OR along the column.
            m.d.comb += self.o.special.eq(Mux(nan, 0b11, Mux(inf, Mux(self.o.sign, 0b10, 0b01), 0)))
        else:
            m.d.comb += self.o.special.eq(nan)
        return m
