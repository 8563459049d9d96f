"""Whether an instruction is one that a core may run, by its fields."""

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.fields import InstructionField
from arch.core.instructions import (
    ADDRESS_BITS,
    HEADER,
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    OPCODES,
    QUEUES,
    instruction_layout,
)
from arch.elements import ELEMENTS
from arch.formats import FP32
from hw.lib.blocks import struct

__all__ = ["Legal"]

_U32 = ELEMENTS["u32"].select


def _if(condition: Value, holds: Value) -> Value:
    """A rule that counts under a condition."""
    return ~condition | holds


class _Fields:
    """The fields of an instruction of one kind, and what rules ask of them; each answer is one bit."""

    def __init__(self, kind: str, code: Value):
        layout = instruction_layout(kind)
        self._entries = {entry.name: entry for entry in INSTRUCTIONS[kind]}
        self._view = struct(layout)(code[: layout.width])

    def __getitem__(self, name: str) -> Value:
        return Value.cast(self._view[name])

    def has(self, name: str, choice: str) -> Value:
        """The field has that choice."""
        return self[name] == self._entries[name].names.index(choice)

    def words(self, name: str) -> Value:
        """It is a multiple of a word's bytes."""
        return ~self[name][: exact_log2(WORD_BYTES)].any()

    def elements(self, name: str, kind: str) -> Value:
        """It is a multiple of the bytes of the type that ``kind`` names."""
        value, select = self[name], self[kind]
        holds = Value.cast(1)
        for bit in range(exact_log2(WORD_BYTES)):
            wider = [element.select for element in ELEMENTS.values() if element.bytes >> bit + 1]
            holds &= _if(Cat(select == each for each in wider).any(), ~value[bit])
        return holds

    def pattern(self, name: str) -> list[Value]:
        """The rules of an access pattern."""
        strides = [
            _if(self[f"count{dim}"] > 1, self.elements(f"{name}_stride{dim}", f"{name}_type")) for dim in range(3)
        ]
        return [self.elements(f"{name}_address", f"{name}_type"), *strides]

    def lane_operand(self, name: str) -> list[Value]:
        """Those of a word that may be the address of a value in each lane."""
        is_address = self.has(f"{name}_kind", "lane")
        return [_if(is_address, self.words(name)), _if(is_address, ~self[name][ADDRESS_BITS:].any())]


class Legal(wiring.Component):
    """Looks at every field of an instruction, as docs/isa.md says that a core does; not at where its elements lie.

    Latency: 0 cycles.

    Members
    -------
    i_code : ``In(512)``
        The instruction.
    o_legal : ``Out(1)``
        It breaks no rule.
    """

    module_name = "legal"
    COMBINATIONAL = True

    def __init__(self, config: CoreConfig):
        self.config = config
        super().__init__({"i_code": In(8 * INSTRUCTION_BYTES), "o_legal": Out(1)})

    def elaborate(self, platform):
        m = Module()
        #: What must hold of each kind, one bit for each rule.
        self.rules = {kind: self._rules(kind) for kind in OPCODES}
        with m.Switch(self.i_code[: HEADER[0].width]):
            for kind, opcode in OPCODES.items():
                with m.Case(opcode):
                    m.d.comb += self.o_legal.eq(Cat(self.rules[kind]).all())
        return m

    def _rules(self, kind: str) -> list[Value]:
        fields = _Fields(kind, self.i_code)
        more = {"dma": self._dma, "matmul": self._matmul, "vector": self._vector, "scalar": self._scalar}[kind]
        rest = ~self.i_code[instruction_layout(kind).width :].any()
        ranges = [rule for entry in INSTRUCTIONS[kind][1:] for rule in self._range(kind, entry, fields[entry.name])]
        return [rest, *ranges, *self._waits(kind, fields), *more(fields)]

    # ---- fields by themselves -------------------------------------------------------------------

    def _range(self, kind: str, entry: InstructionField, value: Value) -> list[Value]:
        """The values that a field may have."""
        config, engine = self.config, self.config.engine
        if kind == "matmul" and entry.name.endswith("_type"):
            return [Cat(value == ELEMENTS[name].select for name in engine.formats).any()]
        highest = {"lanes": config.lanes, "queue": config.dma_queues - 1}
        if engine.exact:
            highest["depth"] = engine.k_max
        high = min(entry.high, highest.get(entry.name, entry.high))
        rules = []
        if not entry.is_signed:
            rules += [value >= entry.low] if entry.low else []
            rules += [value <= high] if high < (1 << entry.width) - 1 else []
        return rules

    def _waits(self, kind: str, fields: _Fields) -> list[Value]:
        """Nothing waits for its own queue, or for one that there is not."""
        queues = self.config.queues
        own = {"matmul": "tensor"}.get(kind, kind)
        rules = [fields[f"wait_{queue}"] == 0 for queue in QUEUES if queue == own or queue not in queues]
        if kind == "dma":
            for number in range(self.config.dma_queues):
                rules.append(_if(fields["queue"] == number, fields[f"wait_dma{number}"] == 0))
        return rules

    # ---- fields together ------------------------------------------------------------------------

    def _dma(self, fields: _Fields) -> list[Value]:
        indirect = ~fields.has("indirect", "none")
        rules = [_if(indirect, fields.words("index_address")), _if(indirect, fields["index_limit"].any())]
        for side, other in (("source", "sink"), ("sink", "source")):
            sbuf, transposed = fields.has(f"{side}_space", "sbuf"), fields.has(f"{side}_transposed", "yes")
            address, follows = fields[f"{side}_address"], fields.has("indirect", side)
            steps = (transposed & (fields["count0"] > 1)) | (~transposed & ((fields["lanes"] > 1) | follows))
            rules += [
                _if(sbuf, fields[f"{side}_lane"] + fields["lanes"] <= self.config.lanes),
                _if(sbuf, ~fields[f"{side}_pitch"].any()),
                _if(sbuf | follows, ~transposed),
                _if(sbuf, ~address[ADDRESS_BITS:].any()),
                _if(follows, ~sbuf),
                _if(fields.has("indirect", other), sbuf),
                fields.words(f"{side}_address"),
                _if(steps, fields.words(f"{side}_pitch")),
                _if(fields["count1"] > 1, fields.words(f"{side}_stride")),
            ]
        return rules

    def _matmul(self, fields: _Fields) -> list[Value]:
        depth, lanes = self.config.engine.psum_depth, self.config.lanes
        # Neither factor is above the product's limit, a power of two: the product is of few bits.
        counts = [fields[f"count{dim}"] for dim in range(2)]
        few = exact_log2(depth) + 1
        small = Cat(count[few:].any() for count in counts) == 0
        tiles = fields["depth"] > lanes
        return [
            small & (counts[0][:few] * counts[1][:few] <= depth),
            fields.elements("w_address", "w_type"),
            _if(fields["depth"] > 1, fields.elements("w_stride", "w_type")),
            _if(tiles, fields.elements("w_tile_stride", "w_type")),
            fields.elements("x_address", "x_type"),
            *(_if(counts[dim] > 1, fields.elements(f"x_stride{dim}", "x_type")) for dim in range(2)),
            _if(tiles, fields.elements("x_tile_stride", "x_type")),
        ]

    def _vector(self, fields: _Fields) -> list[Value]:
        writes, reduces = fields.has("write", "yes"), ~fields.has("reduce", "none")
        tensors = [fields.has(f"{name}_kind", "tensor") for name in "ab"]
        # u32 is moved and never computed with.
        moves = fields.has("x_source", "sbuf") & (fields["x_type"] == _U32)
        plain = {"op0": "bypass", "op1": "bypass", "absolute": "no", "mask": "none", "reduce": "none"}
        nan = fields["fill"][: FP32.bits - 1] > FP32.inf
        rules = [
            ~(tensors[0] & tensors[1]),
            *(_if(moves, fields.has(name, choice)) for name, choice in plain.items()),
            _if(moves, fields["y_type"] == _U32),
            _if(~moves & writes, fields["y_type"] != _U32),
            _if(~fields.has("mask", "none"), ~nan | (fields["fill"] == FP32.nan)),
            *(_if(tensors[0] | tensors[1], rule) for rule in (fields["t_type"] != _U32, *fields.pattern("t"))),
        ]
        for name, operation in (("a", "op0"), ("b", "op1")):
            rules.append(_if(fields.has(operation, "bypass"), fields.has(f"{name}_kind", "immediate")))
            rules += fields.lane_operand(name)
        return rules + self._streams(fields, writes, reduces)

    def _scalar(self, fields: _Fields) -> list[Value]:
        writes, sums = fields.has("write", "yes"), fields.has("sum", "yes")
        return [
            _if(fields.has("x_source", "sbuf"), fields["x_type"] != _U32),
            _if(writes, fields["y_type"] != _U32),
            *fields.lane_operand("scale"),
            *fields.lane_operand("bias"),
            *self._streams(fields, writes, sums),
        ]

    def _streams(self, fields: _Fields, writes: Value, reduces: Value) -> list[Value]:
        """Where x and y lie, and what is reduced."""
        return [
            writes | reduces,
            *(_if(fields.has("x_source", "sbuf"), rule) for rule in fields.pattern("x")),
            *(_if(writes, rule) for rule in fields.pattern("y")),
            _if(reduces, fields.words("r_address")),
        ]
