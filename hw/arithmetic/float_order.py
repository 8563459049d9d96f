"""The comparison of a lane of the vector engine: maxima, minima and conditions are made from it."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.formats import FP32
from hw.arithmetic.packing import parts

__all__ = ["FloatOrder"]


class FloatOrder(wiring.Component):
    """Compares two binary32 codes as IEEE does: -0 equals +0, and a NaN is neither less, nor equal, nor greater.

    At most one of the outputs is set; none of them says that a is greater. Of equal operands with different codes,
    which are zeros, the codes' bitwise and is +0 and their bitwise or -0.

    Latency: 0 cycles (combinational).

    Members
    -------
    i_a, i_b : ``In(32)``
        binary32 codes.
    o_less : ``Out(1)``
        a < b.
    o_equal : ``Out(1)``
        a = b.
    o_unordered : ``Out(1)``
        One of them, or both, are NaN.
    """

    module_name = "float_order"
    COMBINATIONAL = True

    def __init__(self):
        super().__init__({"i_a": In(32), "i_b": In(32), "o_less": Out(1), "o_equal": Out(1), "o_unordered": Out(1)})

    def elaborate(self, platform):
        m = Module()
        below, same = (Signal(name=name) for name in ("below", "same"))
        m.d.comb += [
            below.eq(_key(self.i_a) < _key(self.i_b)),
            same.eq((self.i_a == self.i_b) | ~(self.i_a[:-1].any() | self.i_b[:-1].any())),
            self.o_unordered.eq(parts(self.i_a).nan | parts(self.i_b).nan),
            self.o_equal.eq(same & ~self.o_unordered),
            self.o_less.eq(below & ~same & ~self.o_unordered),
        ]
        return m


def _key(code: Value) -> Value:
    """Unsigned numbers in the order of the codes' values, that of -0 below that of +0."""
    sign = code[-1]
    return Cat(code[:-1] ^ sign.replicate(FP32.bits - 1), ~sign)
