"""The adder of an fp32 PE: the second half of an IEEE 754 fused multiply-add."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.formats import FP32
from hw.arithmetic.leading_zeros import leading_zeros
from hw.arithmetic.multiplier import payload_shape

__all__ = ["FusedAdder"]

#: Bits of an fp32 significand, hidden bit included.
SIGNIFICAND = FP32.man_bits + 1
#: Guard, round and sticky bit below it, and a carry above: what the sum needs to be rounded once.
GUARDS = 3
FRAME = SIGNIFICAND + GUARDS + 1


class FusedAdder(wiring.Component):
    """Adds an exact product to an fp32 sum and rounds once, to nearest even, subnormals included.

    With ``Multiplier`` before it this is ``fma(x, w, psum)`` of IEEE 754-2019 in binary32: the sum of exact
    opposites is +0; Inf - Inf and any NaN give the canonical NaN.

    A product has at most 16 significant bits, so it fits the 24 of a sum and the rest is a floating-point addition, but
    for the product's exponent, which may lie beyond fp32's. The operand with the smaller exponent is shifted right,
    bits that leave at the bottom are kept as one sticky bit, and the other operand is never shifted: sums have no
    exponent below that of subnormals, and a product below it is always the smaller one.

    Latency: 0 cycles (combinational).

    Members
    -------
    i_psum, o_psum : fp32 codes
        The sum before and after.
    i_product : ``In(payload_shape(config))``
        The product; its magnitude is 0 or has one of its top two bits set.
    """

    module_name = "fused_adder"
    COMBINATIONAL = True

    def __init__(self, config: EngineConfig):
        self.config = config
        bits = 2 * config.significand_bits
        # Exponents of the smallest and of the largest product's leading bit.
        lowest = config.product_lsb_exp + bits - 2
        highest = config.product_lsb_exp + bits + 2 * (2**config.exponent_bits - 1)
        # Sums with an FP8 product are never subnormal and never overflow: the product lies so far inside fp32's range
        # that a sum near either end hardly notices it.
        self.in_range = -FP32.bias < lowest - FRAME and highest + FRAME < FP32.bias
        super().__init__({"i_psum": In(32), "i_product": In(payload_shape(config)), "o_psum": Out(32)})

    def elaborate(self, platform):
        m = Module()
        self._unpack(m)
        self._order(m)
        self._align(m)
        self._add(m)
        self._normalise(m)
        self._round(m)
        self._select(m)
        return m

    def _unpack(self, m: Module) -> None:
        """Significands of 24 bits, and biased exponents: value = significand * 2**(exponent - 150)."""
        code, product = self.i_psum, self.i_product
        normal, top = code[23:31].any(), code[23:31].all()
        bits = 2 * self.config.significand_bits
        high = product.magnitude[-1]
        self.c_sign = code[31]
        self.c_exp = Signal(8)
        self.c_sig = Signal(SIGNIFICAND)
        self.c_inf = Signal()
        self.c_nan = Signal()
        self.p_exp = Signal(signed(11))
        self.p_sig = Signal(SIGNIFICAND)
        self.p_zero = Signal()
        self.p_inf = product.inf if self.config.has_inf else Const(0, 1)
        m.d.comb += [
            # A subnormal has the exponent of the smallest normal and no hidden bit.
            self.c_exp.eq(code[23:31] if self.in_range else Cat(code[23] | ~normal, code[24:31])),
            self.c_sig.eq(Cat(code[:23], normal)),
            self.c_inf.eq(top & ~code[:23].any()),
            self.c_nan.eq(top & code[:23].any()),
            self.p_zero.eq(~(high | product.magnitude[-2])),
            self.p_sig.eq(Mux(high, product.magnitude, product.magnitude << 1) << SIGNIFICAND - bits),
            self.p_exp.eq(product.exponent + (self.config.product_lsb_exp + 150 - (SIGNIFICAND - bits) - 1) + high),
        ]

    def _order(self, m: Module) -> None:
        """Which operand stays, and how far the other one is shifted."""
        difference = Signal(signed(12))
        self.product_larger = Signal()
        self.exponent = Signal(9)
        self.larger = Signal(SIGNIFICAND)
        self.smaller = Signal(SIGNIFICAND + GUARDS - 1)
        self.distance = Signal(11)
        m.d.comb += [
            difference.eq(self.c_exp - self.p_exp),
            self.product_larger.eq(difference < 0),
            self.exponent.eq(Mux(self.product_larger, self.p_exp, self.c_exp)),
            self.larger.eq(Mux(self.product_larger, self.p_sig, self.c_sig)),
            # -difference is ~difference + 1, and that one place is shifted here.
            self.smaller.eq(Mux(self.product_larger, self.c_sig << 1, self.p_sig << 2)),
            self.distance.eq(difference ^ self.product_larger.replicate(11)),
        ]

    def _align(self, m: Module) -> None:
        """Shift by halves; what leaves at the bottom is kept as one sticky bit."""
        value, sticky = self.smaller, Const(0, 1)
        for level in range(5):
            select, places = self.distance[level], 1 << level
            shifted = Signal(len(value), name=f"aligned_{places}")
            lost = Signal(name=f"lost_{places}")
            m.d.comb += [
                shifted.eq(Mux(select, value >> places, value)),
                lost.eq(sticky | (select & value[:places].any())),
            ]
            value, sticky = shifted, lost
        far = self.distance[5:].any()
        self.aligned = Signal(SIGNIFICAND + GUARDS)
        m.d.comb += self.aligned.eq(Mux(far, self.smaller.any(), Cat(sticky, value)))

    def _add(self, m: Module) -> None:
        """The sum, or the difference in two's complement."""
        self.subtract = Signal()
        self.negative = Signal()
        self.sum = Signal(FRAME)
        total = Signal(FRAME + 1)
        addend = self.aligned ^ self.subtract.replicate(len(self.aligned))
        m.d.comb += [
            self.subtract.eq(self.c_sign ^ self.i_product.sign),
            # The lowest bit carries the 1 of the two's complement in: one carry chain.
            total.eq(Cat(Const(1, 1), Const(0, GUARDS), self.larger) + Cat(self.subtract, addend)),
            # A carry out means a sum too long for its place, but a difference that is not negative.
            self.negative.eq(self.subtract & ~total[-1]),
            self.sum.eq(Cat(total[1:-1], total[-1] & ~self.subtract)),
        ]

    def _normalise(self, m: Module) -> None:
        """Shift the leading one to the top, or as far as subnormals go."""
        inverted = Signal(FRAME)
        self.shifted = Signal(FRAME)
        self.field = Signal(9)
        rest = Signal(signed(10))
        # A negative sum is ~sum + 1. The 1 is added when rounding, where a carry may make the number longer anyway.
        m.d.comb += inverted.eq(self.sum ^ Cat(self.negative.replicate(FRAME - 1), Const(0, 1)))
        zeros = leading_zeros(m, inverted, "sum")
        subnormal = Signal()
        self.zero = (zeros == FRAME) & ~self.negative
        m.d.comb += [
            rest.eq(self.exponent - zeros),
            subnormal.eq(0 if self.in_range else rest < 0),
            self.shifted.eq(self.sum << Mux(subnormal, self.exponent[:5], zeros)),
            # The exponent field, less the hidden bit.
            self.field.eq(Mux(subnormal, 0, rest)),
        ]

    def _round(self, m: Module) -> None:
        """To nearest even."""
        significand = self.shifted[GUARDS + 1 :] ^ self.negative.replicate(SIGNIFICAND)
        half, rest = self.shifted[GUARDS], self.shifted[:GUARDS].any()
        increment = Signal()
        self.rounded = Signal(33)
        # Below the last place the two's complement has the guard bit half ^ rest, and a carry into that place if all
        # there is zero. It always is, unless both operands have the exponent of subnormals.
        negated = Const(1) if self.in_range else (~half & ~rest) | ((half ^ rest) & (rest | significand[0]))
        m.d.comb += [
            increment.eq(Mux(self.negative, negated, half & (rest | significand[0]))),
            # The hidden bit adds one to the exponent field of a normal number; so does a carry out of rounding.
            self.rounded.eq(Cat(Const(0, FP32.man_bits), self.field) + significand + increment),
        ]

    def _select(self, m: Module) -> None:
        product = self.i_product
        nan, inf, keep, overflow, finite = (Signal(name=name) for name in ("nan", "inf", "keep", "overflow", "finite"))
        sign = Signal()
        m.d.comb += [
            nan.eq(product.nan | self.c_nan | (self.p_inf & self.c_inf & self.subtract)),
            # 0 + c = c; two zeros give -0 only if both are.
            keep.eq(self.p_zero & ~self.p_inf & ~nan),
            overflow.eq(0 if self.in_range else self.rounded[FP32.man_bits :] >= FP32.exp_mask),
            inf.eq(~nan & (self.p_inf | self.c_inf | (overflow & ~keep))),
            finite.eq(~nan & ~inf & ~keep & ~self.zero),
        ]
        with m.If(self.p_inf):
            m.d.comb += sign.eq(product.sign)
        with m.Elif(self.c_inf):
            m.d.comb += sign.eq(self.c_sign)
        with m.Elif(keep):
            m.d.comb += sign.eq(self.c_sign & (self.c_sig.any() | ~self.subtract))
        with m.Else():
            m.d.comb += sign.eq((Mux(self.product_larger, product.sign, self.c_sign) ^ self.negative) & ~self.zero)
        magnitude = (self.rounded[:31] & finite.replicate(31)) | (self.i_psum[:31] & keep.replicate(31))
        m.d.comb += self.o_psum.eq(Cat(magnitude | Mux(nan, FP32.nan, Mux(inf, FP32.inf, 0)), sign & ~nan))
