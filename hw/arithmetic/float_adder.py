"""The adder of a lane of the vector and scalar engines."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import FP32
from hw.arithmetic.packing import EXPONENT, SIGNIFICAND, Normal, finished, normalised, parts
from hw.arithmetic.stages import Stages

__all__ = ["FloatAdder"]

#: Guard, round and sticky bit below a significand: what a sum needs to be rounded once.
GUARDS = 3
ALIGNED = SIGNIFICAND + GUARDS
#: Bits of how far an operand is shifted: by more than it has bits.
DISTANCE_BITS = 5


class FloatAdder(wiring.Component):
    """``a + b`` in IEEE binary32: to nearest even, subnormals in full.

    The sum of opposites is +0, of two -0 it is -0. Inf - Inf and any NaN give the canonical NaN, 0x7FC00000.

    The operand of the smaller magnitude is shifted right, what leaves at the bottom is kept as one sticky bit, so no
    difference is negative. A sum of less than the smallest normal number is exact.

    Latency: :attr:`LATENCY` cycles in which ``i_en`` is high; in the others everything stands still. Registers stand
    behind ordering, adding, normalising and rounding; a reset leaves them as they are.
    Throughput: one sum per enabled cycle.

    Members
    -------
    i_en : ``In(1)``
        Moves the pipeline.
    i_a, i_b : ``In(32)``
        binary32 codes.
    o : ``Out(32)``
        The code of their sum.
    """

    module_name = "float_adder"
    LATENCY = 4

    def __init__(self):
        super().__init__({"i_en": In(1), "i_a": In(32), "i_b": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        stage = Stages(m, self.i_en, reset_less=True)
        large, small, exponent, distance, *flags = stage("ordered", *self._order(m))
        sign, subtract, special, nan = flags
        total = self._add(m, large, small, distance, subtract)
        # A carry out of the addition has the exponent + 1: that is how far a number at the top can be moved up.
        total, exponent, *flags = stage("added", total, exponent, *flags)
        sign, subtract, special, nan = flags
        normal = normalised(m, total, exponent[:DISTANCE_BITS], exponent[DISTANCE_BITS:].any())
        # The sum of opposites.
        positive = subtract & ~total.any()
        *normal, exponent, sign, special, nan = stage("normal", *normal, exponent, sign & ~positive, special, nan)
        (code,) = stage("code", finished(m, sign, exponent, Normal(*normal), special, nan))
        m.d.comb += self.o.eq(code)
        return m

    def _order(self, m: Module) -> tuple[Value, ...]:
        """Significands of the larger and the smaller operand, exponent of the larger, how far the smaller is shifted;
        the larger one's sign, whether they are subtracted, and whether the sum is special, and NaN."""
        a, b = parts(self.i_a), parts(self.i_b)
        swap, far, opposite = (Signal(name=name) for name in ("swap", "far", "opposite"))
        large, small = (Signal(SIGNIFICAND, name=name) for name in ("large", "small"))
        exponent, difference = (Signal(EXPONENT, name=name) for name in ("exponent", "difference"))
        distance = Signal(DISTANCE_BITS)
        magnitude = FP32.bits - 1
        m.d.comb += [
            swap.eq(self.i_a[:magnitude] < self.i_b[:magnitude]),
            large.eq(Mux(swap, b.significand, a.significand)),
            small.eq(Mux(swap, a.significand, b.significand)),
            exponent.eq(Mux(swap, b.exponent, a.exponent)),
            # Never negative: the larger magnitude has no smaller exponent.
            difference.eq(exponent - Mux(swap, a.exponent, b.exponent)),
            far.eq(difference[DISTANCE_BITS:].any()),
            distance.eq(difference[:DISTANCE_BITS] | far.replicate(DISTANCE_BITS)),
            opposite.eq(a.sign ^ b.sign),
        ]
        special = a.special | b.special
        nan = a.nan | b.nan | (a.inf & b.inf & opposite)
        return large, small, exponent, distance, Mux(swap, b.sign, a.sign), opposite, special, nan

    def _add(self, m: Module, large: Value, small: Value, distance: Value, subtract: Value) -> Value:
        """The sum or difference, with a bit for a carry above it."""
        value: Value = Cat(Const(0, GUARDS - 1), small)
        sticky: Value = Const(0, 1)
        for level, select in enumerate(distance):
            places = 1 << level
            sticky = sticky | (select & value[:places].any())
            shifted = Signal(len(value), name=f"aligned_{places}")
            m.d.comb += shifted.eq(Mux(select, value >> places, value))
            value = shifted
        total = Signal(ALIGNED + 2)
        addend = Cat(sticky, value) ^ subtract.replicate(ALIGNED)
        # The lowest bit carries the 1 of the two's complement in: one carry chain.
        m.d.comb += total.eq(Cat(Const(1, 1), Const(0, GUARDS), large) + Cat(subtract, addend))
        # A difference is not negative, and always carries.
        return Cat(total[1:-1], total[-1] & ~subtract)
