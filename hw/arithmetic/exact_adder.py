"""The adder of an exact PE: a fixed-point sum that never rounds."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.encodings import psum_layout
from hw.arithmetic.multiplier import payload_shape
from hw.blocks import struct

__all__ = ["ExactAdder", "psum_parts"]

#: The longest limb of a sum. A simulator adds numbers of up to 64 bits, a carry included, in one machine word: longer
#: ones cost it four times as much.
LIMB = 63


def psum_parts(config: EngineConfig, psum: Value) -> list[Value]:
    """Slices of a partial sum that are computed and kept apart: limbs of ``acc``, lowest first, then its flags.

    Hardware does not see it: one carry chain goes through all limbs. An fp32 sum is one part.
    """
    psum = Value.cast(psum)
    if not config.exact:
        return [psum]
    count = -(-config.acc_bits // LIMB)
    size = -(-config.acc_bits // count)
    ends = [min(size * (index + 1), config.acc_bits) for index in range(count)]
    return [psum[start:end] for start, end in zip([0, *ends], [*ends, len(psum)], strict=True)]


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
        config = self.config
        product = self.i_product
        largest = config.max_product_bits
        aligned = Signal(largest)
        inverted = Signal(largest)
        m.d.comb += [
            aligned.eq(product.magnitude << product.exponent),
            # Two's complement as one's complement with a carry-in, so that one carry chain does it all.
            inverted.eq(aligned ^ product.sign.replicate(largest)),
        ]
        addend = Cat(inverted, product.sign.replicate(config.acc_bits - largest))
        *limbs, special = psum_parts(config, self.i_psum)
        carry, sums, start = product.sign, [], 0
        for index, limb in enumerate(limbs):
            total = Signal(len(limb) + 1, name=f"sum_{index}")
            m.d.comb += total.eq(limb + addend[start : start + len(limb)] + carry)
            sums.append(total[:-1])
            carry, start = total[-1], start + len(limb)
        m.d.comb += self.o_psum.eq(Cat(*sums, special | product.special))
        return m
