"""A lane of the vector engine: ``y = (x op0 a) op1 b``."""

from amaranth.hdl import Cat, Module, Mux, Value

from arch.core.instructions import INSTRUCTIONS
from arch.core.timing import FLOAT_LATENCY
from hw.core.float_alu import FloatAlu
from hw.core.lane import Lane
from hw.lib.blocks import place
from hw.lib.delay import StallingDelay

__all__ = ["VectorLane"]

_TENSOR = next(field for field in INSTRUCTIONS["vector"] if field.name == "a_kind").names.index("tensor")


class VectorLane(Lane):
    """See :class:`hw.core.lane.Lane`; the operation takes two of :class:`hw.core.float_alu.FloatAlu`."""

    module_name = "vector_lane"
    kind = "vector"
    operands = ("a", "b")
    has_tensor = True
    #: Cycles of the operation.
    LATENCY = 2 * FLOAT_LATENCY

    def _prepared(self, name: str, value: Value) -> Value:
        return Cat(value[:31], value[31] & ~self.i_instruction.absolute) if name == "x" else value

    def _compute(self, m: Module, x: Value, first: Value, second: Value) -> Value:
        instruction = self.i_instruction
        t = self._element(m, "t", self.i_t_word, self.i_t_offset, instruction.t_type)
        later = place(m, "t_later", StallingDelay, 32, FLOAT_LATENCY, en=self.i_en, i=t).o
        a = Mux(instruction.a_kind == _TENSOR, t, first)
        b = Mux(instruction.b_kind == _TENSOR, later, second)
        middle = place(m, "alu_0", FloatAlu, i_en=self.i_en, i_operation=instruction.op0, i_x=x, i_a=a).o
        return place(m, "alu_1", FloatAlu, i_en=self.i_en, i_operation=instruction.op1, i_x=middle, i_a=b).o
