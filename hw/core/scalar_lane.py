"""A lane of the scalar engine: ``y = f(x * scale + bias)``."""

from amaranth.hdl import Module, Value

from arch.core.timing import FLOAT_LATENCY, FUNCTION_LATENCY
from hw.arithmetic.float_adder import FloatAdder
from hw.arithmetic.float_multiplier import FloatMultiplier
from hw.arithmetic.interpolator import Interpolator
from hw.core.lane import Lane
from hw.lib.blocks import place
from hw.lib.delay import StallingDelay

__all__ = ["ScalarLane"]


class ScalarLane(Lane):
    """See :class:`hw.core.lane.Lane`; product and sum are each rounded."""

    module_name = "scalar_lane"
    kind = "scalar"
    operands = ("scale", "bias")
    #: Cycles of the operation.
    LATENCY = 2 * FLOAT_LATENCY + FUNCTION_LATENCY

    def _compute(self, m: Module, x: Value, first: Value, second: Value) -> Value:
        product = place(m, "multiplier", FloatMultiplier, i_en=self.i_en, i_a=x, i_b=first).o
        # A product takes a cycle less than a sum.
        waits = FLOAT_LATENCY - FloatMultiplier.LATENCY
        product = place(m, "product_later", StallingDelay, 32, waits, en=self.i_en, i=product).o
        total = place(m, "adder", FloatAdder, i_en=self.i_en, i_a=product, i_b=second).o
        function = self.i_instruction.function
        assert (FloatAdder.LATENCY, Interpolator.LATENCY) == (FLOAT_LATENCY, FUNCTION_LATENCY)
        return place(m, "function", Interpolator, i_en=self.i_en, i_x=total, i_function=function).o
