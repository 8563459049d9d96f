"""The multiplier of a lane of the vector and scalar engines."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import FP32
from hw.arithmetic.packing import SIGNIFICAND, Normal, finished, normalised, parts
from hw.arithmetic.stages import Stages
from hw.fpga.ecp5 import ECP5, multiply_wide

__all__ = ["FloatMultiplier"]

PRODUCT = 2 * SIGNIFICAND
#: Zeros above a product. One that is moved up by none of them is less than half the smallest subnormal number.
ABOVE = SIGNIFICAND + 1
#: The zeros, and those of a product of a normal number and the smallest subnormal one, need as many bits.
LIMIT_BITS = (ABOVE + SIGNIFICAND).bit_length()
#: Bits of the largest exponent of a product, counted as the limit is.
FIELD_BITS = 9


class FloatMultiplier(wiring.Component):
    """``a * b`` in IEEE binary32: to nearest even, subnormals in full.

    Zero times Inf and any NaN give the canonical NaN, 0x7FC00000.

    Significands are multiplied as they are, subnormal or not. The product is then moved up from below the place of the
    smallest subnormal number, by as many places as it has zeros above or as its exponent allows: that is both the
    normalisation of a subnormal factor and the denormalisation of a small product.

    Latency: :attr:`LATENCY` cycles in which ``i_en`` is high; in the others everything stands still. Registers stand
    behind multiplying, normalising and rounding; a reset leaves them as they are.
    Throughput: one product per enabled cycle.

    Members
    -------
    i_en : ``In(1)``
        Moves the pipeline.
    i_a, i_b : ``In(32)``
        binary32 codes.
    o : ``Out(32)``
        The code of their product.
    """

    module_name = "float_multiplier"
    LATENCY = 3

    def __init__(self):
        super().__init__({"i_en": In(1), "i_a": In(32), "i_b": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        stage = Stages(m, self.i_en, reset_less=True)
        product, limit, *flags = stage("product", *self._multiply(m, platform))
        frame = Cat(product, Const(0, ABOVE))
        normal = normalised(m, frame, limit[:LIMIT_BITS], limit[LIMIT_BITS:].any())
        *normal, limit, sign, special, nan = stage("normal", *normal, limit, *flags)
        (code,) = stage("code", finished(m, sign, limit, Normal(*normal), special, nan))
        m.d.comb += self.o.eq(code)
        return m

    def _multiply(self, m: Module, platform: str | None) -> tuple[Value, ...]:
        """The product, how far it may be moved up; its sign, and whether it is special, and NaN."""
        a, b = parts(self.i_a), parts(self.i_b)
        product = Signal(PRODUCT)
        exponent, limit = (Signal(FIELD_BITS, name=name) for name in ("exponent", "limit"))
        least = FP32.bias - ABOVE
        m.d.comb += [
            product.eq(
                multiply_wide(m, "significands", a.significand, b.significand)
                if platform == ECP5
                else a.significand * b.significand
            ),
            # A product with its top bit set has the field ``exponent + 1 - bias``, which is 1 at the limit.
            exponent.eq(a.exponent + b.exponent),
            limit.eq(Mux(exponent < least, 0, exponent - least)),
        ]
        # Of a special operand only Inf is no NaN; zeros have no hidden bit, nor any other.
        special = a.special | b.special
        zero = ~(a.significand.any() & b.significand.any())
        return product, limit, a.sign ^ b.sign, special, a.nan | b.nan | (special & zero)
