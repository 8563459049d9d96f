"""The functions of a lane of the scalar engine: one interpolator for all, the functions are tables."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from arch.formats import FP32
from arch.functions import (
    FUNCTIONS,
    INDEX_BITS,
    LOG2_E,
    LOG2_E_BITS,
    OFFSET_BITS,
    SQUARE_BITS,
    VALUE_BITS,
    segments,
)
from hw.arithmetic.packing import SIGNIFICAND, Parts, normalised, parts, rounded
from hw.arithmetic.stages import Stages
from hw.fpga.ecp5 import ECP5, multiply_constant, multiply_wide

__all__ = ["Interpolator"]

FUNCTION_BITS = 2
#: ``i_function``; 0 is the identity.
EXP, RECIPROCAL, RSQRT = (1 + FUNCTIONS.index(name) for name in ("exp", "reciprocal", "rsqrt"))
#: Bits of the coefficients: the constant less a half, the slope with its sign, the curve.
CONSTANT, SLOPE, CURVE = 27, 20, 12
#: Fraction bits of an interpolated value: products are cut off there.
FRACTION = 33
#: Fraction bits of exp's argument times log2(e), and its bits before the point, without its sign.
PLACES = INDEX_BITS + OFFSET_BITS
WHOLE = 8
#: The exponent field of the largest arguments of which exp is worked out: they are below 128.
LARGEST = FP32.bias + 6
#: The bits of ``significand * LOG2_E`` below the last place, and the one that rounds it, of the largest arguments.
DROPPED = FP32.bias + FP32.man_bits + LOG2_E_BITS - PLACES - LARGEST
#: ``x * log2(e)`` of these, with the bit that rounds it.
SCALED = WHOLE + PLACES + 1
#: The result's exponent field, less 1, at a power of 0: a value is from a half up to one, and one where an argument of
#: reciprocal is a power of two, of rsqrt of four.
ZEROTH = {EXP: FP32.bias - 1, RECIPROCAL: 2 * FP32.bias - 2, RSQRT: FP32.bias + FP32.bias // 2 - 1}
#: Its bits: it is far below 0 or above infinity's at times.
FIELD = 10


class _Number(NamedTuple):
    """What goes beside the interpolation.

    computed : the result's size is interpolated; else all of it is ``instead``. Its sign is always that.
    """

    computed: Value
    instead: Value


class Interpolator(wiring.Component):
    """exp, reciprocal and rsqrt of a binary32 number, or the number itself.

    To the bit: an argument is reduced to a segment of 256 and an offset in it. The value there is ``constant + slope *
    t + curve * t**2`` by the tables of ``arch.functions``, t the offset, each product cut off 33 places below the
    point, towards minus infinity. It is rounded once, to nearest even, into subnormal numbers too.

    - exp: ``|x| * log2(e)``, with 35 places of log2(e), is rounded to 26 places, halves away from zero, and takes the
      sign of x. Its floor is the result's exponent, its fraction segment and offset. From 128 up it is Inf, from -128
      down +0.
    - reciprocal: the mantissa is segment and offset. Of zeros it is Inf, of Inf zero, with the sign of x.
    - rsqrt: the exponent's lowest bit and the mantissa are segment and offset. Of zeros it is Inf with the sign of x,
      of Inf +0; of negative numbers it is NaN.
    - A NaN gives the canonical NaN, 0x7FC00000, of the identity too.

    Latency: :attr:`LATENCY` cycles in which ``i_en`` is high; in the others everything stands still. Registers stand
    behind the multiplication by log2(e) and the normalisation; at the address of the table; behind it and the square;
    behind the products; behind their sum and its move into subnormal numbers; behind rounding. A reset leaves them as
    they are.
    Throughput: one result per enabled cycle.

    Members
    -------
    i_en : ``In(1)``
        Moves the pipeline.
    i_x : ``In(32)``
        A binary32 code.
    i_function : ``In(2)``
        0 identity, 1 exp, 2 reciprocal, 3 rsqrt.
    o : ``Out(32)``
        The code of the result.
    """

    module_name = "interpolator"
    LATENCY = 6

    def __init__(self):
        super().__init__({"i_en": In(1), "i_x": In(32), "i_function": In(FUNCTION_BITS), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        stage = Stages(m, self.i_en, reset_less=True)
        x, function = parts(self.i_x), self.i_function
        scaled, below = self._scale(m, x, platform)
        normal = normalised(m, x.significand, Const(31, 5), Const(1, 1))
        scaled, below, mantissa, places, exponent, sign, function, *number = stage(
            "scaled", scaled, below, normal.kept[:-1], normal.places, x.exponent, x.sign, function, *self._replace(m, x)
        )
        moved = self._whole_and_fraction(m, scaled, below, sign)
        segment, offset, power = self._reduce(m, function, moved, mantissa, places, exponent)
        coefficients = self._look_up(m, Cat(segment, function))
        offset, power, function, *number = stage("reduced", offset, power, function, *number)
        high = offset[-SQUARE_BITS:]
        field, down, *number = self._place(m, function, power.as_signed(), _Number(*number))
        coefficients, square, offset, field, down, *number = stage(
            "read", coefficients, _times(m, platform, "square", high, high), offset, field, down, *number
        )
        constant, slope, curve = _split(coefficients)
        rise, bend = self._products(m, platform, offset, slope, square, curve)
        constant, rise, bend, field, down, *number = stage("product", constant, rise, bend, field, down, *number)
        kept, rest = self._sum(m, constant, rise.as_signed(), bend, down)
        kept, rest, field, *number = stage("value", kept, rest, field, *number)
        computed, instead = number
        result = Cat(Mux(computed, rounded(field, kept, rest), instead[:-1]), instead[-1])
        (code,) = stage("code", result)
        m.d.comb += self.o.eq(code)
        return m

    def _scale(self, m: Module, x: Parts, platform: str | None) -> tuple[Value, Value]:
        """``|x| * log2(e)`` as that of the largest arguments is, and how far it must be moved down for x."""
        product = Signal(DROPPED - 1 + SCALED, name="times_log2_e")
        distance = Signal(8)
        below = Signal(SCALED.bit_length())
        m.d.comb += [
            product.eq(
                multiply_constant(m, "log2_e", x.significand, LOG2_E) if platform == ECP5 else x.significand * LOG2_E
            ),
            distance.eq(LARGEST - x.exponent),
            below.eq(distance[: len(below)] | distance[len(below) :].any().replicate(len(below))),
        ]
        return product[DROPPED - 1 :], below

    def _replace(self, m: Module, x: Parts) -> _Number:
        """What the result is where it is not interpolated."""
        function, code = self.i_function, self.i_x
        zero = ~x.significand.any()
        is_exp, is_reciprocal, is_rsqrt = (function == which for which in (EXP, RECIPROCAL, RSQRT))
        nan, infinite, none, sign = (Signal(name=name) for name in ("nan", "infinite", "none", "sign"))
        beyond = Signal()
        m.d.comb += [
            beyond.eq(code[FP32.man_bits : FP32.bits - 1] > LARGEST),
            nan.eq(x.nan | (is_rsqrt & x.sign & ~zero)),
            infinite.eq(Mux(is_exp, beyond & ~x.sign, (is_reciprocal | is_rsqrt) & zero)),
            none.eq(Mux(is_exp, beyond & x.sign, (is_reciprocal | is_rsqrt) & x.inf)),
            sign.eq(~nan & ~is_exp & x.sign),
        ]
        special = Mux(nan, FP32.nan, Mux(infinite, FP32.inf, 0))
        size = Mux(nan | infinite | none, special[: FP32.bits - 1], code[:-1])
        return _Number(function.any() & ~(nan | infinite | none), Cat(size, sign))

    def _whole_and_fraction(self, m: Module, scaled: Value, below: Value, sign: Value) -> Value:
        """``x * log2(e)`` in its last place, rounded, with its sign."""
        for level in reversed(range(len(below))):
            shifted = Signal(SCALED, name=f"fixed_{1 << level}")
            m.d.comb += shifted.eq(Mux(below[level], scaled >> (1 << level), scaled))
            scaled = shifted
        # Halves away from zero: the bit below the last place is added to the size. Of a negative number that is
        # -(size + bit), or ~size + ~bit.
        size = Cat(scaled[1:], Const(0, 1))
        moved = Signal(SCALED, name="moved")
        m.d.comb += moved.eq((size ^ sign.replicate(SCALED)) + (scaled[0] ^ sign))
        return moved

    def _reduce(
        self, m: Module, function: Value, moved: Value, mantissa: Value, places: Value, exponent: Value
    ) -> tuple[Value, Value, Value]:
        """Segment and offset; and the exponent of two that comes from the argument's."""
        segment, offset = Signal(INDEX_BITS, name="segment"), Signal(OFFSET_BITS, name="offset")
        power, negated = (Signal(signed(WHOLE + 1), name=name) for name in ("power", "negated"))
        m.d.comb += negated.eq(places - exponent)
        # Of the exponent's distance from the bias: without the bias, which is odd, the other way round.
        odd = ~negated[0]
        with m.If(function == EXP):
            m.d.comb += [
                Cat(offset, segment).eq(moved[:PLACES]),
                power.eq(moved[PLACES:].as_signed()),
            ]
        with m.Elif(function == RECIPROCAL):
            m.d.comb += [
                Cat(offset, segment).eq(mantissa << PLACES - FP32.man_bits),
                power.eq(negated),
            ]
        with m.Else():
            m.d.comb += [
                Cat(offset, segment).eq(Cat(mantissa, odd) << PLACES - FP32.man_bits - 1),
                power.eq(negated >> 1),
            ]
        return segment, offset, power

    def _look_up(self, m: Module, address: Value) -> Value:
        """The coefficients a cycle later: those of the identity, which has none, first."""
        words = [0] * (1 << INDEX_BITS)
        for name in FUNCTIONS:
            for constant, slope, curve in segments(name):
                fields = (constant - (1 << VALUE_BITS - 1), CONSTANT), (slope % (1 << SLOPE), SLOPE), (curve, CURVE)
                word = at = 0
                for value, width in fields:
                    word |= value << at
                    at += width
                words.append(word)
        m.submodules.rom = rom = memory.Memory(shape=CONSTANT + SLOPE + CURVE, depth=len(words), init=words)
        port = rom.read_port()
        m.d.comb += [port.addr.eq(address), port.en.eq(self.i_en)]
        return port.data

    def _place(self, m: Module, function: Value, power: Value, number: _Number) -> tuple[Value, ...]:
        """The result's exponent field, less 1, how far the value is moved down for a subnormal one, and infinity
        instead of what is too large."""
        field, down = Signal(FP32.exp_bits, name="field"), Signal(5, name="down")
        lowered, over = Signal(signed(FIELD), name="lowered"), Signal(name="over")
        negated = Signal(6)
        m.d.comb += [
            lowered.eq(
                power
                + Mux(function == EXP, ZEROTH[EXP], Mux(function == RECIPROCAL, ZEROTH[RECIPROCAL], ZEROTH[RSQRT]))
            ),
            negated.eq(-lowered),
            over.eq(~lowered[-1] & (lowered[:-1] >= FP32.max_exp)),
        ]
        with m.If(lowered < 0):
            m.d.comb += down.eq(negated[:5] | negated[5].replicate(5))
        with m.Else():
            m.d.comb += field.eq(lowered[: FP32.exp_bits])
        infinity = Const(FP32.inf, FP32.bits - 1)
        instead = Cat(Mux(over & number.computed, infinity, number.instead[:-1]), number.instead[-1])
        return field, down, number.computed & ~over, instead

    def _products(
        self, m: Module, platform: str | None, offset: Value, slope: Value, square: Value, curve: Value
    ) -> tuple[Value, Value]:
        """Those of slope and curve, each cut off at the last place of the value."""
        product = Signal(OFFSET_BITS + SLOPE)
        m.d.comb += product.eq(_times(m, platform, "rise", offset, slope))
        # A slope below 0 is 2**SLOPE less than its bits say.
        fall = offset & slope[-1].replicate(OFFSET_BITS)
        rise = Cat(product[OFFSET_BITS + VALUE_BITS - FRACTION : SLOPE], (product[SLOPE:] - fall)[:OFFSET_BITS])
        return rise, _times(m, platform, "bend", square, curve)[2 * SQUARE_BITS + VALUE_BITS - FRACTION :]

    def _sum(self, m: Module, constant: Value, rise: Value, bend: Value, down: Value) -> tuple[Value, Value]:
        """The value's significand with a guard bit below, moved down, and whether anything lies below."""
        value = Signal(FRACTION + 1, name="sum")
        # The half that the table leaves out; one has the bit above.
        whole = Cat(constant[:-1], ~constant[-1], constant[-1])
        m.d.comb += value.eq((whole << FRACTION - VALUE_BITS) + rise + bend)
        cut = FRACTION - SIGNIFICAND - 1
        kept, rest = value[cut:], value[:cut].any()
        for level in reversed(range(len(down))):
            places = 1 << level
            shifted, lost = Signal(len(kept), name=f"down_{places}"), Signal(name=f"lost_{places}")
            m.d.comb += [
                shifted.eq(Mux(down[level], kept >> places, kept)),
                lost.eq(rest | (down[level] & kept[:places].any())),
            ]
            kept, rest = shifted, lost
        return kept, rest


def _split(coefficients: Value) -> tuple[Value, Value, Value]:
    """Constant, slope and curve."""
    return coefficients[:CONSTANT], coefficients[CONSTANT : CONSTANT + SLOPE], coefficients[CONSTANT + SLOPE :]


def _times(m: Module, platform: str | None, name: str, x: Value, w: Value) -> Value:
    """``x * w``, unsigned."""
    return multiply_wide(m, name, x, w) if platform == ECP5 else x * w
