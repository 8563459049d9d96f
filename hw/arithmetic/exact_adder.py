"""The adder of an exact PE: a fixed-point sum that never rounds."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout
from hw.arithmetic.aligner import Aligner, coarse_step
from hw.arithmetic.multiplier import payload_shape
from hw.fpga.ecp5 import ECP5, add_inverted, add_selected
from hw.lib.blocks import place, struct

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

    The last level of the product's shifter is in the adder: one carry chain of four-input logic does both.

    Latency: 0 cycles from ``i_psum``, ``config.product_latency - 1`` from ``i_product``.

    Members
    -------
    i_psum, o_psum : ``psum_layout(config)``
        The sum before and after.
    i_product : ``In(payload_shape(config))``
        The product, ``config.product_latency - 1`` cycles before the sum it is added to.
    """

    module_name = "exact_adder"

    def __init__(self, config: EngineConfig):
        self.config = config
        psum = struct(psum_layout(config))
        super().__init__({"i_psum": In(psum), "i_product": In(payload_shape(config)), "o_psum": Out(psum)})

    @property
    def COMBINATIONAL(self) -> bool:
        """Without the register behind the aligner there is none."""
        return self.config.product_latency == 1

    def elaborate(self, platform):
        m = Module()
        config = self.config
        # An integer product is where it belongs, and is inverted by the adder's own logic.
        addend = self.i_product
        if not config.integer_operands:
            addend = place(m, "aligner", Aligner, config, i_product=self.i_product).o
        if config.product_latency == 2:
            aligned, addend = addend, Signal.like(addend, name="addend")
            m.d.sync += addend.eq(aligned)
        if platform == ECP5:
            total = self._ecp5(m, addend)
            m.d.comb += self.o_psum.eq(Cat(total, self.i_psum.special | addend.special))
            return m
        *limbs, special = psum_parts(config, self.i_psum)
        carry, sums, start = addend.sign, [], 0
        aligned = self._coarsely_aligned(addend)
        for index, limb in enumerate(limbs):
            total = Signal(len(limb) + 1, name=f"sum_{index}")
            # Two's complement as one's complement with a carry-in, so that one carry chain does it all.
            m.d.comb += total.eq(limb + aligned[start : start + len(limb)] + carry)
            sums.append(total[:-1])
            carry, start = total[-1], start + len(limb)
        m.d.comb += self.o_psum.eq(Cat(*sums, special | addend.special))
        return m

    def _ecp5(self, m: Module, addend: data.View) -> Value:
        """The sum, its last level of the shifter or its inversion within the carry chain."""
        acc, sign = self.i_psum.acc, addend.sign
        if self.config.integer_operands:
            return add_inverted(m, "sum", acc, Cat(addend.magnitude, Const(0, len(acc)))[: len(acc)], sign)
        near, far = self._places(addend)
        return add_selected(m, "sum", acc, addend.coarse, far, near, sign)

    def _places(self, addend: data.View) -> tuple[Value, Value]:
        """The one's complement of the product in its two places of the sum."""
        bits, sign = self.config.acc_bits, addend.sign
        near, far = (
            Cat(sign.replicate(low), addend.fine, sign.replicate(bits)) for low in (0, coarse_step(self.config))
        )
        return near[:bits], far[:bits]

    def _coarsely_aligned(self, addend: data.View) -> Value:
        """The one's complement of the product, in the places of the sum."""
        bits = self.config.acc_bits
        if self.config.integer_operands:
            return Cat(addend.magnitude, Const(0, bits))[:bits] ^ addend.sign.replicate(bits)
        near, far = self._places(addend)
        return Mux(addend.coarse, far, near)
