"""The adder of an fp32 PE: the second half of an IEEE 754 fused multiply-add."""

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import FP32
from arch.tensor.config import EngineConfig
from hw.arithmetic.multiplier import payload_shape

__all__ = ["FusedAdder"]

#: Bits of an fp32 significand, hidden bit included.
SIGNIFICAND = FP32.man_bits + 1
#: Guard, round and sticky bit below it: what a sum needs to be rounded once.
GUARDS = 3
#: The most places that a sum is normalised by.
PLACES = 31
#: An aligned operand: a product has a bit above the place of a sum's hidden bit, for its significand is below 4.
ALIGNED = 1 + SIGNIFICAND + GUARDS
#: A sum of two, with its carry.
FRAME = ALIGNED + 1
#: ``add_latency`` -> the steps with a register behind them.
CUTS = {
    1: (),
    2: ("add",),
    3: ("align_8", "normalise_16"),
    4: ("align_2", "add", "normalise_2"),
    5: ("align_1", "align_4", "add", "normalise_4"),
}


class FusedAdder(wiring.Component):
    """Adds an exact product to an fp32 sum and rounds once, to nearest even, subnormals included.

    With ``Multiplier`` before it this is ``fma(x, w, psum)`` of IEEE 754-2019 in binary32: the sum of exact
    opposites is +0; Inf - Inf and any NaN give the canonical NaN. A lane that is not enabled passes the sum on.

    A product has at most 16 significant bits, so it fits the 24 of a sum and the rest is a floating-point addition, but
    for the product's exponent, which may lie beyond fp32's. The operand with the smaller exponent is shifted right,
    bits that leave at the bottom are kept as one sticky bit, and the other operand is never shifted: sums have no
    exponent below that of subnormals, and a product below it is always the smaller one.

    A zero product leaves the sum where it is: nothing is selected at the end.

    Where an array's sums are in range (``config.sums_in_range``) none is looked at for being subnormal, -0 or near
    infinity, and exponents have seven bits, in two's complement: what they exceed 128 by.

    Latency: ``config.add_latency - 1`` cycles; the PE's sum register follows. Inside, a register stands after each
    step of ``CUTS``. All of them move in every cycle.
    Throughput: one addition per cycle.

    Members
    -------
    i_psum, o_psum : fp32 codes
        The sum before and after. A NaN is the canonical one.
    i_product : ``In(payload_shape(config))``
        The product; its magnitude is 0 or has one of its top two bits set. All 0 of a lane that is not enabled.
    i_enable : ``In(1)``
        The lane is enabled. Only where a sum may be -0: there + 0 is not the same as none.
    """

    module_name = "fused_adder"

    def __init__(self, config: EngineConfig):
        self.config = config
        self.in_range = config.sums_in_range
        bits = 2 * config.significand_bits
        #: A product's exponent, less its field: that of its second highest bit, biased as a sum's.
        self.product_bias = config.product_lsb_exp + bits + FP32.bias - 2 - (128 if self.in_range else 0)
        # The largest exponent of an operand is that of its leading bit.
        top = max(fmt.max_exp - fmt.bias for fmt in config.operand_formats)
        self.exponent_bits = 7 if self.in_range else max(2 * top + FP32.bias, FP32.exp_mask).bit_length()
        enable = {} if self.in_range else {"i_enable": In(1)}
        super().__init__({"i_psum": In(32), "i_product": In(payload_shape(config)), **enable, "o_psum": Out(32)})

    @property
    def COMBINATIONAL(self) -> bool:
        """No register inside."""
        return self.config.add_latency == 1

    def elaborate(self, platform):
        m = Module()
        # What is alive between two steps; a register behind a step takes all of it.
        live = SimpleNamespace()
        for step, make in self._steps():
            make(m, live)
            if step in CUTS[self.config.add_latency]:
                self._cut(m, live, step)
        return m

    def _steps(self) -> Iterator[tuple[str, Callable[[Module, SimpleNamespace], None]]]:
        """Names and makers, from the inputs to the output."""
        yield "order", self._order
        for places in (1, 2, 4, 8, 16):
            yield f"align_{places}", partial(self._align, places=places)
        yield "add", self._add
        yield "absolute", self._absolute
        for places in (16, 8, 4, 2, 1):
            yield f"normalise_{places}", partial(self._normalise, places=places)
        yield "round", self._round

    def _cut(self, m: Module, live: SimpleNamespace, step: str) -> None:
        """A register for everything alive."""
        for name, value in vars(live).items():
            if len(value) and not isinstance(value, Const):
                register = Signal(len(value), name=f"{step}_{name}")
                m.d.sync += register.eq(value)
                setattr(live, name, register)

    def _order(self, m: Module, live: SimpleNamespace) -> None:
        """Which operand stays, and how far the other one is shifted.

        Biased exponents: a sum is significand * 2**(exponent - 150).
        """
        code, product = self.i_psum, self.i_product
        bits = 2 * self.config.significand_bits
        c_exp, hidden, normal, top = self._sum_parts()
        zero = ~(product.magnitude[-1] | product.magnitude[-2])
        magnitude = product.magnitude
        if not self.in_range:
            # What it does to a special sum is not seen; but with this mask an ECP5 needs a tenth fewer LUTs.
            magnitude = magnitude & ~(zero | top).replicate(bits)
        p_exp = Signal(self.exponent_bits)
        difference = Signal(signed(self.exponent_bits + 1))
        product_larger, far = Signal(name="product_larger"), Signal(name="far")
        larger, smaller = Signal(ALIGNED - GUARDS, name="larger"), Signal(SIGNIFICAND, name="smaller")
        exponent = Signal(self.exponent_bits)
        distance = Signal(5)
        m.d.comb += [
            # Used where the product is the larger one; otherwise it may be too small for fp32. Where sums are in range
            # it is one too large: with e5m2 the bias then takes 32 off, without an adder. ``_add`` takes the one off.
            p_exp.eq(product.exponent + (self.product_bias + self.in_range)),
            # Less one: of equal exponents the sum's gives way, and no operand is shifted by ~difference + 1.
            difference.eq(c_exp - product.exponent - (self.product_bias + 1)),
            # A zero product leaves the sum, and a special sum stays what it is, but for NaN, in ``_sign``.
            product_larger.eq((difference < 0) & ~(zero | top)),
            exponent.eq(Mux(product_larger, p_exp, c_exp)),
            larger.eq(Mux(product_larger, product.magnitude << ALIGNED - GUARDS - bits, Cat(code[:23], normal))),
            # A product that is the smaller one is shifted by difference + 1 places, the first of them here.
            smaller.eq(Mux(product_larger, Cat(code[:23], hidden), magnitude << SIGNIFICAND - bits)),
            # Beyond 31 places: 30 at least, which leave none of its bits.
            distance.eq((difference[:5] ^ difference[-1].replicate(5)) | Cat(Const(0, 1), far.replicate(4))),
            far.eq((difference[5:-1] ^ difference[-1].replicate(len(difference) - 6)).any()),
        ]
        live.value, live.sticky = smaller, Const(0, 1)
        live.larger, live.exponent, live.distance = larger, exponent, distance
        self._sign(m, live, top, product_larger)
        live.exponent_over = product_larger if self.in_range else Const(0, 1)

    def _sum_parts(self) -> tuple[Value, Value, Value, Value]:
        """Of the sum: exponent, hidden bit, whether it has one in its code, and whether it is Inf or NaN."""
        code = self.i_psum
        if self.in_range:
            # 0 has the least exponent, too far below any product for its hidden bit to count.
            exponent = Cat(code[23:29], code[29] | ~code[30]).as_signed()
            return exponent, Const(1, 1), code[29:31].any(), code[29:31].all()
        # A subnormal has the exponent of the smallest normal and no hidden bit.
        normal = code[23:31].any()
        return Cat(code[23] | ~normal, code[24:31]), normal, normal, code[23:31].all()

    def _sign(self, m: Module, live: SimpleNamespace, top: Value, product_larger: Value) -> None:
        """Whether the operands are subtracted, the sign of the larger one, and what becomes of Inf and NaN."""
        code, product = self.i_psum, self.i_product
        p_special, subtract, sign, special, nan = (
            Signal(name=name) for name in ("p_special", "subtract", "sign", "special", "nan")
        )
        opposite = code[31] ^ product.sign
        m.d.comb += [
            p_special.eq(product.nan | (product.inf if self.config.has_inf else Const(0, 1))),
            subtract.eq(opposite & ~top if self.in_range else opposite & self.i_enable & ~special),
            sign.eq(Mux(product_larger | p_special, product.sign, code[31])),
            special.eq(p_special | top),
            nan.eq(product.nan | (top & (code[22] | (p_special & opposite)))),
        ]
        live.subtract, live.sign, live.special, live.nan = subtract, sign, special, nan

    def _align(self, m: Module, live: SimpleNamespace, places: int) -> None:
        """Shift right by so many places; what leaves is kept as one sticky bit."""
        if places < 4:
            # The guard bits above the sticky one are empty before the shift.
            live.value = Cat(Const(0, 1), live.value)
        select = live.distance[0]
        shifted = Signal(len(live.value), name=f"aligned_{places}")
        lost = Signal(name=f"lost_{places}")
        m.d.comb += [
            shifted.eq(Mux(select, live.value >> places, live.value)),
            lost.eq(live.sticky | (select & live.value[:places].any())),
        ]
        live.value, live.sticky = shifted, lost
        live.distance = live.distance[1:]
        if places == 16:
            del live.distance

    def _add(self, m: Module, live: SimpleNamespace) -> None:
        """The sum, or the difference in two's complement."""
        total = Signal(FRAME + 1)
        negative = Signal()
        result = Signal(FRAME)
        addend = Cat(live.sticky, live.value) ^ live.subtract.replicate(ALIGNED)
        m.d.comb += [
            # The lowest bit carries the 1 of the two's complement in: one carry chain.
            total.eq(Cat(Const(1, 1), Const(0, GUARDS), live.larger) + Cat(live.subtract, addend)),
            # A carry out means a sum too long for its place, but a difference that is not negative.
            negative.eq(live.subtract & ~total[-1]),
            result.eq(Cat(total[1:-1], total[-1] & ~live.subtract)),
        ]
        live.value, live.negative = result, negative
        del live.larger, live.sticky
        # The leading one at the top has the exponent + 2, and the normalisation counts the places that it need not go.
        exponent = live.exponent
        field = Signal(self.exponent_bits)
        m.d.comb += field.eq(exponent + (1 - PLACES) + ~live.exponent_over)
        live.field = field
        del live.exponent_over
        live.way = live.beyond = live.huge = live.near = Const(0, 1)
        del live.exponent
        if not self.in_range:
            # The way to the smallest exponent: so far, or beyond any shift.
            way, beyond, huge, near = Signal(5), Signal(), Signal(), Signal()
            m.d.comb += [
                way.eq(exponent + 1),
                beyond.eq(exponent[5:].any() | exponent[:5].all()),
                # Infinity's exponent is 255: no difference of finite numbers is smaller than that, or a short one is.
                huge.eq(exponent[8] & exponent[:8].any()),
                near.eq((exponent == 256) | (exponent[:8] >= 253) & ~exponent[8]),
            ]
            live.way, live.beyond, live.huge, live.near = way, beyond, huge, near

    def _absolute(self, m: Module, live: SimpleNamespace) -> None:
        """The sum without its sign, but for a 1: a negative one is ~sum + 1. The 1 is added when rounding."""
        positive = Signal(FRAME)
        m.d.comb += positive.eq(live.value ^ live.negative.replicate(ALIGNED))
        live.zero = Const(0, 1)
        if not self.in_range:
            # The sum of opposites, which is +0.
            zero = Signal()
            m.d.comb += zero.eq(live.subtract & ~live.value.any())
            live.zero = zero
        # From the top, which groups of four bits have a one.
        ends = range(FRAME, 3, -4)
        live.groups = Cat(positive[end - 4 : end].any() for end in ends)
        live.value, live.kept_places = positive, Const(0, 0)
        del live.subtract

    def _normalise(self, m: Module, live: SimpleNamespace, places: int) -> None:
        """Shift left by so many places if the top ones are empty, but no further than subnormals go."""
        empty, select = Signal(name=f"empty_{places}"), Signal(name=f"select_{places}")
        shifted = Signal(FRAME, name=f"normal_{places}")
        if places >= 4:
            count = places // 4
            groups = Signal(count, name=f"groups_{places}")
            m.d.comb += [
                empty.eq(~live.groups[:count].any()),
                groups.eq(Mux(select, live.groups[count:], live.groups[:count])),
            ]
            live.groups = groups
        else:
            m.d.comb += empty.eq(~live.value[-places:].any())
        # Below a negative sum's end there are zeros, which stand for ones here.
        filled = Cat(live.negative.replicate(places), live.value)
        m.d.comb += shifted.eq(Mux(select, filled[:FRAME], live.value))
        live.value, live.kept_places = shifted, Cat(~select, live.kept_places)
        if self.in_range:
            m.d.comb += select.eq(empty)
        else:
            beyond = Signal(name=f"beyond_{places}")
            m.d.comb += [
                select.eq(empty & (live.beyond | live.way[-1])),
                beyond.eq(live.beyond | (live.way[-1] & ~empty)),
            ]
            live.way, live.beyond = live.way[:-1], beyond

    def _round(self, m: Module, live: SimpleNamespace) -> None:
        """To nearest even."""
        hidden, lowest, half, below = live.value[-1], live.value[5], live.value[4], live.value[:4]
        overflow, rest, increment = Signal(), Signal(), Signal()
        width = 7 if self.in_range else FP32.exp_bits
        fraction, field = Signal(FP32.man_bits), Signal(width)
        exponent, rounded = Signal(width), Signal(FP32.man_bits + width)
        # A sum near infinity reaches it if it is shifted by no more places than its exponent exceeds 253.
        excess = live.field[:2]
        reached = live.kept_places[2:].all() & ((live.kept_places[:2] + excess)[:3] >= 3)
        m.d.comb += [
            overflow.eq(live.special | live.huge | (live.near & reached)),
            # Half of the last place and what is below it, of a negative sum before its 1 is added.
            rest.eq(Mux(live.negative, below.all(), below.any())),
            increment.eq(
                Mux(live.negative, half | (rest & lowest), half & (rest | lowest)) & ~overflow,
            ),
            fraction.eq((live.value[5:-1] & ~overflow.replicate(FP32.man_bits)) | (live.nan << FP32.man_bits - 1)),
            # Without a hidden bit it is zero, or subnormal.
            exponent.eq(live.field[:width] + live.kept_places),
            field.eq((exponent & hidden.replicate(width)) | overflow.replicate(width)),
            # A carry out of the fraction makes the next exponent, infinity's included.
            rounded.eq(Cat(fraction, field) + increment),
        ]
        if self.in_range:
            # The eighth bit of an exponent, which is not that of 0: the seventh's opposite.
            code, zero = Cat(rounded, overflow | (hidden & ~rounded[-1])), ~(hidden | overflow)
        else:
            code, zero = rounded, live.zero
        m.d.comb += self.o_psum.eq(Cat(code, (live.sign ^ live.negative) & ~(live.nan | zero)))
