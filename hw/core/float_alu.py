"""One operation of the vector engine on two binary32 numbers."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.instructions import OPERATIONS
from arch.core.timing import FLOAT_LATENCY
from arch.formats import FP32
from hw.arithmetic.float_adder import FloatAdder
from hw.arithmetic.float_multiplier import FloatMultiplier
from hw.arithmetic.float_order import FloatOrder
from hw.lib.blocks import place
from hw.lib.delay import StallingDelay

__all__ = ["FloatAlu"]

_ONE = FP32.bias << FP32.man_bits
_SIGN = 1 << FP32.bits - 1


class FloatAlu(wiring.Component):
    """``x op a``, as docs/isa.md has the operations.

    What needs no rounding, a comparison or x itself, is worked out at once and waits for as long as a sum takes.

    Latency: :attr:`LATENCY` cycles in which ``i_en`` is high. ``i_operation`` must not change while numbers are under
    way.
    Throughput: one result per enabled cycle.

    Members
    -------
    i_en : ``In(1)``
        Moves the pipeline.
    i_operation : ``In(4)``
        The place in ``OPERATIONS``.
    i_x, i_a : ``In(32)``
        binary32 codes, any NaN the canonical one; for ``bypass`` any bits.
    o : ``Out(32)``
    """

    module_name = "float_alu"
    LATENCY = FLOAT_LATENCY

    def __init__(self):
        width = (len(OPERATIONS) - 1).bit_length()
        super().__init__({"i_en": In(1), "i_operation": In(width), "i_x": In(32), "i_a": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        operation = {name: self.i_operation == index for index, name in enumerate(OPERATIONS)}
        adder = place(
            m,
            "adder",
            FloatAdder,
            i_en=self.i_en,
            i_a=self.i_x ^ Mux(operation["rsubtract"], _SIGN, 0),
            i_b=self.i_a ^ Mux(operation["subtract"], _SIGN, 0),
        )
        multiplier = place(m, "multiplier", FloatMultiplier, i_en=self.i_en, i_a=self.i_x, i_b=self.i_a)
        product = self._later(m, "product", multiplier.o, FloatMultiplier.LATENCY)
        unrounded = self._later(m, "unrounded", self._unrounded(m), 0)
        sums = operation["add"] | operation["subtract"] | operation["rsubtract"]
        m.d.comb += self.o.eq(Mux(sums, adder.o, Mux(operation["multiply"], product, unrounded)))
        assert FloatAdder.LATENCY == self.LATENCY
        return m

    def _later(self, m: Module, name: str, value: Signal, latency: int) -> Signal:
        """A value that is there after ``latency`` cycles, after as many as a result takes."""
        if latency == self.LATENCY:
            return value
        return place(m, name, StallingDelay, 32, self.LATENCY - latency, en=self.i_en, i=value).o

    def _unrounded(self, m: Module) -> Signal:
        """What is one of the two numbers, or 1 or 0."""
        x, a = self.i_x, self.i_a
        order = place(m, "order", FloatOrder, i_a=x, i_b=a)
        greater = ~(order.o_less | order.o_equal | order.o_unordered)
        # Equal numbers of different codes are zeros: +0 is their larger one, -0 their smaller.
        largest = Mux(order.o_equal, x & a, Mux(greater, x, a))
        smallest = Mux(order.o_equal, x | a, Mux(order.o_less, x, a))
        nan = Const(FP32.nan, 32)
        values = {name: x for name in OPERATIONS} | {
            "max": Mux(order.o_unordered, nan, largest),
            "min": Mux(order.o_unordered, nan, smallest),
            "equal": Mux(order.o_equal, _ONE, 0),
            "less": Mux(order.o_less, _ONE, 0),
            "less_equal": Mux(order.o_less | order.o_equal, _ONE, 0),
        }
        value = Signal(32, name="value")
        every = [values[name] for name in OPERATIONS]
        m.d.comb += value.eq(Array([*every, *[x] * ((1 << len(self.i_operation)) - len(every))])[self.i_operation])
        return value
