"""A lane's reduction: the sum, or the maximum, of the elements of an instruction."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.instructions import REDUCTIONS
from arch.core.timing import FLOAT_LATENCY
from arch.formats import FP32
from arch.layout import Layout
from hw.arithmetic.float_adder import FloatAdder
from hw.arithmetic.float_order import FloatOrder
from hw.lib.blocks import place, struct

__all__ = ["PARTIALS", "Reducer", "reduce_layout"]

#: Partial sums: more than the cycles that a sum takes, so that each is there when its next element comes.
PARTIALS = 8
assert PARTIALS >= FLOAT_LATENCY
_INDEX_BITS = 32
_SIGN = 1 << FP32.bits - 1


def reduce_layout() -> Layout:
    """What every lane's reducer does in a cycle.

    clear : partial sums become +0, and there is no maximum.
    en : the adder moves.
    element : an element comes; else partial ``a`` and ``b`` are added.
    a, b : partial sums that are added, or ``a`` and the element.
    lands, to : the sum that is done in this cycle goes to this partial sum.
    index : the element's number.
    kind : what is reduced to, by its place in ``REDUCTIONS``.
    """
    partial = (PARTIALS - 1).bit_length()
    kind = (len(REDUCTIONS) - 1).bit_length()
    return Layout(clear=1, en=1, element=1, a=partial, b=partial, lands=1, to=partial, index=_INDEX_BITS, kind=kind)


class Reducer(wiring.Component):
    """Eight interleaved partial sums and what adds them up; the largest number so far and its index.

    Which sums are added when, the engine says: it is the same in all lanes.

    Latency: a sum ``FLOAT_LATENCY`` enabled cycles, a maximum 1.
    Throughput: one element per cycle.

    Members
    -------
    i_control : ``In(struct(reduce_layout()))``
    i : ``In(32)``
        The element: a binary32 code, a NaN the canonical one.
    o : ``Out(32)``
        Partial sum 0, or the maximum, or its index.
    """

    module_name = "reducer"

    def __init__(self):
        super().__init__({"i_control": In(struct(reduce_layout())), "i": In(32), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        control = self.i_control
        partials = Array(Signal(32, name=f"partial_{index}") for index in range(PARTIALS))
        b = Mux(control.element, self.i, partials[control.b])
        adder = place(m, "adder", FloatAdder, i_en=control.en, i_a=partials[control.a], i_b=b)
        with m.If(control.clear):
            m.d.sync += [partial.eq(0) for partial in partials]
        with m.Elif(control.lands):
            m.d.sync += partials[control.to].eq(adder.o)
        most, index = self._maximum(m)
        kind = {name: control.kind == number for number, name in enumerate(REDUCTIONS)}
        m.d.comb += self.o.eq(Mux(kind["add"], partials[0], Mux(kind["argmax"], index, most)))
        return m

    def _maximum(self, m: Module) -> tuple[Signal, Signal]:
        control = self.i_control
        known, nan = Signal(), Signal()
        most, index = Signal(32), Signal(_INDEX_BITS)
        element = Signal(32)
        m.d.comb += element.eq(Mux(control.kind == REDUCTIONS.index("absmax"), self.i & ~Const(_SIGN, 32), self.i))
        order = place(m, "order", FloatOrder, i_a=most, i_b=element)
        element_nan = element == FP32.nan
        with m.If(control.clear):
            m.d.sync += [known.eq(0), nan.eq(0), index.eq(0)]
        with m.Elif(control.element & control.en & ~nan):
            m.d.sync += [known.eq(1), nan.eq(element_nan)]
            with m.If(~known | element_nan | order.o_less):
                m.d.sync += [most.eq(element), index.eq(control.index)]
            with m.Elif(order.o_equal):
                # Of zeros +0 is the larger, at the first one's index.
                m.d.sync += most.eq(most & element)
        return most, index
