"""What a lane of the vector engine and one of the scalar engine have in common."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.instructions import instruction_layout
from arch.elements import ELEMENTS, SELECT_BITS
from arch.formats import FP32
from hw.arithmetic.element_narrower import ElementNarrower
from hw.arithmetic.widener import Widener
from hw.core.reducer import Reducer, reduce_layout
from hw.lib.blocks import place, struct

__all__ = ["Lane"]

_FP32 = ELEMENTS["fp32"].select


class Lane(wiring.Component):
    """Elements of a lane: widened, computed with, masked, reduced, narrowed.

    Latency: ``depth`` cycles in which ``i_en`` is high, from a word to the word to be written.
    Throughput: one element per enabled cycle.

    Members
    -------
    i_instruction
        The instruction at work, which does not change while elements are under way.
    i_en : ``In(1)``
        Moves the pipeline.
    i_word, i_offset, i_type
        The word that holds x, x's byte in it, and its type.
    i_t_word, i_t_offset
        The same of the tensor operand, where the engine has one.
    i_first_en, i_second_en, i_by_lane
        An operand is set: to the fp32 number that the word is, or to the instruction's immediate.
    i_keep : ``In(1)``
        The element about to be written is not masked.
    i_reduce : ``In(struct(reduce_layout()))``
    o_word : ``Out(32)``
        The element to be written, as often as a word holds it.
    o_reduced : ``Out(32)``
    """

    #: Of the engine: its instruction, the fields of its operands, whether one may be a tensor.
    kind: str
    operands: tuple[str, str]
    has_tensor = False

    def __init__(self):
        tensor = {"i_t_word": In(32), "i_t_offset": In(2)} if self.has_tensor else {}
        super().__init__(
            {
                "i_instruction": In(struct(instruction_layout(self.kind))),
                "i_en": In(1),
                "i_word": In(32),
                "i_offset": In(2),
                "i_type": In(SELECT_BITS),
                **tensor,
                "i_first_en": In(1),
                "i_second_en": In(1),
                "i_by_lane": In(1),
                "i_keep": In(1),
                "i_reduce": In(struct(reduce_layout())),
                "o_word": Out(32),
                "o_reduced": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        x = self._element(m, "x", self.i_word, self.i_offset, self.i_type)
        operands = []
        for name, enable in zip(self.operands, (self.i_first_en, self.i_second_en), strict=True):
            operand = Signal(32, name=f"operand_{name}")
            with m.If(enable):
                m.d.sync += operand.eq(_canonical(Mux(self.i_by_lane, self.i_word, self.i_instruction[name])))
            operands.append(operand)
        result = self._compute(m, x, *operands)
        y = Signal(32)
        fill = self.i_instruction.fill if "fill" in instruction_layout(self.kind).fields else Const(0, 32)
        m.d.comb += y.eq(Mux(self.i_keep, result, _canonical(fill)))
        reducer = place(m, "reducer", Reducer, i_control=self.i_reduce, i=y)
        narrower = place(m, "narrower", ElementNarrower, i=y, i_type=self.i_instruction.y_type)
        code = narrower.o_code
        by_bytes = {1: code[:8].replicate(4), 2: code[:16].replicate(2), 4: code}
        words = [by_bytes[element.bytes] for element in ELEMENTS.values()]
        with m.If(self.i_en):
            m.d.sync += self.o_word.eq(_chosen(self.i_instruction.y_type, words))
        m.d.comb += self.o_reduced.eq(reducer.o)
        return m

    def _element(self, m: Module, name: str, word: Value, offset: Value, kind: Value) -> Signal:
        """An element as a binary32 number, a cycle later."""
        shifted = Signal(32, name=f"{name}_shifted")
        m.d.comb += shifted.eq(word >> (offset << 3))
        codes = [shifted[: 8 * element.bytes] for element in ELEMENTS.values()]
        widener = place(m, f"{name}_widener", Widener, i_code=_chosen(kind, codes), i_type=kind)
        value = Signal(32, name=name)
        with m.If(self.i_en):
            m.d.sync += value.eq(self._prepared(name, widener.o))
        return value

    def _prepared(self, name: str, value: Value) -> Value:
        """What is computed with of an element."""
        return value

    def _compute(self, m: Module, x: Value, first: Value, second: Value) -> Value:
        """The engine's operation, which takes as many enabled cycles in every instruction."""
        raise NotImplementedError


def _chosen(kind: Value, values: list[Value]) -> Value:
    """The value, of 32 bits, that belongs to an element type; the last for one that does not exist."""
    padded = [Cat(value, Const(0, 32 - len(value))) if len(value) < 32 else value for value in values]
    return Array([*padded, *[padded[-1]] * ((1 << SELECT_BITS) - len(padded))])[kind]


def _canonical(code: Value) -> Value:
    """A binary32 code, a NaN the canonical one."""
    code = Value.cast(code)
    nan = code[FP32.man_bits : FP32.bits - 1].all() & code[: FP32.man_bits].any()
    return Mux(nan, FP32.nan, code)
