"""Fine alignment of an exact product: all of its shift but the last level."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from hw.arithmetic.multiplier import payload_shape

__all__ = ["Aligner", "addend_shape", "coarse_step"]


def coarse_step(config: EngineConfig) -> int:
    """Places by which the coarse shift, in the adder, moves a product: half of the shifter's range."""
    return 1 << config.product_exponent_bits - 1


def addend_shape(config: EngineConfig) -> data.StructLayout:
    """A product but for its coarse shift: ``fine``, to be moved ``coarse_step(config)`` places where ``coarse`` is set.

    ``fine`` is the one's complement of a negative number, and ``sign`` extends it on both sides, so that only a
    carry of ``sign`` is missing from the two's complement.
    """
    width = payload_shape(config)["magnitude"].width + coarse_step(config) - 1
    return data.StructLayout({"fine": width, "coarse": 1, "sign": 1, "special": config.special_bits})


class Aligner(wiring.Component):
    """Shifts a product by all but the top bit of its exponent and applies its sign.

    Latency: 0 cycles (combinational).

    Members
    -------
    i_product : ``In(payload_shape(config))``
        The product.
    o : ``Out(addend_shape(config))``
        The same, aligned but for its coarse shift.
    """

    module_name = "aligner"
    COMBINATIONAL = True

    def __init__(self, config: EngineConfig):
        self.config = config
        super().__init__({"i_product": In(payload_shape(config)), "o": Out(addend_shape(config))})

    def elaborate(self, platform):
        m = Module()
        product, addend = self.i_product, self.o
        m.d.comb += [
            addend.fine.eq(
                (product.magnitude << product.exponent[:-1]) ^ product.sign.replicate(len(addend.fine)),
            ),
            addend.coarse.eq(product.exponent[-1]),
            addend.sign.eq(product.sign),
            addend.special.eq(product.special),
        ]
        return m
