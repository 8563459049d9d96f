"""The adder of an fp32 PE: the second half of an IEEE 754 fused multiply-add."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.spec.config import EngineConfig
from golden.spec.formats import FP32
from hw.arithmetic.leading_zeros import leading_zeros
from hw.arithmetic.multiplier import payload_shape

__all__ = ["FusedAdder"]


class FusedAdder(wiring.Component):
    """Adds an exact product to an fp32 sum and rounds once, to nearest even, subnormals included.

    With ``Multiplier`` before it this is ``fma(x, w, psum)`` of IEEE 754-2019 in binary32: the sum of exact
    opposites is +0; Inf - Inf and any NaN give the canonical NaN.

    The sum is formed in a frame of 54 bits. Its bit ``LOW`` is the product's least significant bit. An addend
    far above the product meets it ``TOP`` bits up: from there on the product is under a quarter of the addend's
    last place and any value of that size rounds alike, so a greater distance may be cut to ``TOP``. An addend
    far below the product leaves the frame at the bottom into ``sticky``.

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

    #: Frame: 24 bits of addend, 29 places below them, a carry.
    FRAME = 54

    def __init__(self, config: EngineConfig):
        self.config = config
        bits = 2 * config.significand_bits
        # A product that meets the bottom of the frame has its top bit at or above LOW + bits - 2; one place may
        # cancel, and 24 result bits plus a guard bit must lie within the frame: LOW + bits - 3 >= 24.
        self.low = 27 - bits
        # 2**bits <= 2**(top - 2): the product is below a quarter of the addend's last place.
        self.top = bits + 2
        super().__init__({"i_psum": In(32), "i_product": In(payload_shape(config)), "o_psum": Out(32)})

    def elaborate(self, platform):
        m = Module()
        self._unpack(m)
        self._align(m)
        self._add(m)
        self._normalise_and_round(m)
        self._select(m)
        return m

    def _unpack(self, m: Module) -> None:
        code, product = self.i_psum, self.i_product
        exponent, fraction = code[23:31], code[:23]
        self.c_sign = code[31]
        self.c_exp = Signal(8)
        self.c_sig = Signal(24)
        self.c_inf = Signal()
        self.c_nan = Signal()
        self.p_zero = Signal()
        self.p_inf = product.inf if self.config.has_inf else Const(0, 1)
        m.d.comb += [
            # A subnormal has the exponent of the smallest normal and no hidden bit.
            self.c_exp.eq(Mux(exponent.any(), exponent, 1)),
            self.c_sig.eq(Cat(fraction, exponent.any())),
            self.c_inf.eq(exponent.all() & ~fraction.any()),
            self.c_nan.eq(exponent.all() & fraction.any()),
            self.p_zero.eq(~product.magnitude.any()),
        ]

    def _align(self, m: Module) -> None:
        # Exponents of least significant bits, in the biased scale of fp32: value = integer * 2**(e - 150).
        p_exp = Signal(signed(12))
        distance = Signal(signed(12))
        cut = Signal()
        right = Signal(signed(12))
        m.d.comb += [
            p_exp.eq(self.i_product.exponent + (self.config.product_lsb_exp + 150)),
            distance.eq(self.c_exp - p_exp),
            cut.eq(distance > self.top),
            right.eq(Mux(cut, 0, self.top - distance)),
        ]
        # Addend at the top of the frame, shifted right; 54 places push all of it out.
        shift = Signal(6)
        lost = Signal(5)
        self.aligned = Signal(self.FRAME - 1)
        self.sticky = Signal()
        at_top = self.low + self.top
        m.d.comb += [
            shift.eq(Mux(right > self.FRAME, self.FRAME, right)),
            self.aligned.eq((self.c_sig << at_top) >> shift),
            # Places lost below the frame, 0..25; 24 or more lose the whole significand.
            lost.eq(Mux(shift > at_top, shift - at_top, 0)),
            self.sticky.eq(((self.c_sig << 24) >> lost)[:24].any() | (self.c_sig.any() & (lost == 25))),
        ]
        # Exponent of the frame's bit 0; at least -28, since the product lies at most TOP below the addend.
        self.frame_exp = Signal(signed(12))
        m.d.comb += self.frame_exp.eq(Mux(cut, self.c_exp - self.top, p_exp) - self.low)

    def _add(self, m: Module) -> None:
        self.subtract = Signal()
        total = Signal(signed(self.FRAME + 1))
        self.negative = Signal()
        self.sum = Signal(self.FRAME)
        product = self.i_product.magnitude << self.low
        m.d.comb += [
            self.subtract.eq(self.c_sign ^ self.i_product.sign),
            # What was lost below makes the addend larger: subtracting it borrows, so no carry is added.
            total.eq(Mux(self.subtract, product - self.aligned - self.sticky, product + self.aligned)),
            # Only an addend that lost nothing can exceed the product, so negating is exact.
            self.negative.eq(total < 0),
            self.sum.eq(Mux(self.negative, -total, total)),
        ]

    def _normalise_and_round(self, m: Module) -> None:
        zeros = leading_zeros(m, self.sum, "sum")
        limit = Signal(signed(12))
        shift = Signal(6)
        shifted = Signal(self.FRAME)
        m.d.comb += [
            # At this shift bit 30 is the last place of a subnormal: not further. Never negative.
            limit.eq(self.frame_exp + 29),
            shift.eq(Mux(zeros > limit, limit, zeros)),
            shifted.eq(self.sum << shift),
        ]
        significand, guard, rest = shifted[30:54], shifted[29], shifted[:29].any() | self.sticky
        increment = guard & (rest | significand[0])
        exponent = Signal(11)
        # The hidden bit adds one to the exponent field of a normal number; so does a carry out of rounding.
        self.rounded = Signal(34)
        self.overflow = Signal()
        m.d.comb += [
            exponent.eq(limit - shift),
            self.rounded.eq(Cat(Const(0, 23), exponent) + significand + increment),
            self.overflow.eq(self.rounded >= FP32.inf),
        ]

    def _select(self, m: Module) -> None:
        product = self.i_product
        sign = Mux(self.subtract & self.negative, self.c_sign, product.sign)
        with m.If(product.nan | self.c_nan | (self.p_inf & self.c_inf & self.subtract)):
            m.d.comb += self.o_psum.eq(FP32.nan)
        with m.Elif(self.p_inf):
            m.d.comb += self.o_psum.eq(Cat(Const(FP32.inf, 31), product.sign))
        with m.Elif(self.c_inf):
            m.d.comb += self.o_psum.eq(self.i_psum)
        with m.Elif(self.p_zero):
            # 0 + c = c; two zeros give -0 only if both are.
            m.d.comb += self.o_psum.eq(
                Mux(self.c_sig.any(), self.i_psum, Cat(Const(0, 31), ~self.subtract & self.c_sign))
            )
        with m.Elif(~self.sum.any()):
            m.d.comb += self.o_psum.eq(0)
        with m.Elif(self.overflow):
            m.d.comb += self.o_psum.eq(Cat(Const(FP32.inf, 31), sign))
        with m.Else():
            m.d.comb += self.o_psum.eq(Cat(self.rounded[:31], sign))
