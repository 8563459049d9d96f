"""The adder of an exact PE: a fixed-point sum that never rounds."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import psum_layout
from hw.arithmetic.multiplier import payload_shape
from hw.blocks import struct

__all__ = ["ExactAdder"]


class ExactAdder(wiring.Component):
    """Adds a product to a fixed-point partial sum; NaN and Inf are sticky flags beside it.

    ``acc`` counts units of ``2**config.product_lsb_exp`` and is wide enough for ``k_max`` products, so it
    never overflows within a legal GEMM; beyond that it wraps.

    Latency: 0 cycles (combinational).

    Members
    -------
    i_psum, o_psum : ``psum_layout(config)``
        The sum before and after.
    i_product : ``In(payload_shape(config))``
        The product.
    """

    module_name = "exact_adder"
    COMBINATIONAL = True

    def __init__(self, config: EngineConfig):
        self.config = config
        psum = struct(psum_layout(config))
        super().__init__({"i_psum": In(psum), "i_product": In(payload_shape(config)), "o_psum": Out(psum)})

    def elaborate(self, platform):
        m = Module()
        width = self.config.acc_bits
        aligned = Signal(width)
        addend = Signal(width)
        m.d.comb += [
            # The largest product fits acc_bits: bits above it are zero.
            aligned.eq(self.i_product.magnitude << self.i_product.exponent),
            # Two's complement as one's complement with a carry-in, so that one carry chain does it all.
            addend.eq(aligned ^ self.i_product.sign.replicate(width)),
            self.o_psum.acc.eq(self.i_psum.acc + addend + self.i_product.sign),
            self.o_psum.special.eq(self.i_psum.special | self.i_product.special),
        ]
        return m
