"""The instructions: one table of fields each, from which encoder, decoder, disassembler and hardware are made."""

from dataclasses import dataclass, field
from types import MappingProxyType

from arch.core.fields import InstructionField, choice, flag, signed, unsigned, word
from arch.elements import ELEMENTS
from arch.layout import Layout

__all__ = [
    "ADDRESS_BITS",
    "COUNT_BITS",
    "FUNCTION_NAMES",
    "HEADER",
    "INSTRUCTIONS",
    "INSTRUCTION_BYTES",
    "MEMORY_BITS",
    "OPCODES",
    "OPERATIONS",
    "QUEUES",
    "REDUCTIONS",
    "WAIT_MAX",
    "Instruction",
    "decode",
    "disassemble",
    "encode",
    "instruction_layout",
]

#: Of every instruction.
INSTRUCTION_BYTES = 64
#: Every queue that a core can have, in the order of timelines.
QUEUES = ("tensor", "vector", "scalar", "dma0", "dma1", "dma2", "dma3")
#: Width of an address in a lane of SBUF, and of a stride there.
ADDRESS_BITS = 18
#: Width of an address in memory.
MEMORY_BITS = 40
COUNT_BITS = 16
#: A wait for the instruction so many places back reaches all that a queue can hold.
WAIT_BITS = 4
WAIT_MAX = (1 << WAIT_BITS) - 1
#: Opcodes by name. 0 is none: memory that nobody wrote is no program.
OPCODES = {"dma": 1, "matmul": 2, "vector": 3, "scalar": 4}
OPCODE_BITS = 4
#: What the vector engine does with two numbers.
OPERATIONS = ("bypass", "add", "subtract", "rsubtract", "multiply", "max", "min", "equal", "less", "less_equal")
REDUCTIONS = ("none", "add", "max", "absmax", "argmax")
FUNCTION_NAMES = ("identity", "exp", "reciprocal", "rsqrt")
_TYPES = tuple(ELEMENTS)

#: What every instruction begins with.
HEADER = (
    InstructionField(name="opcode", width=OPCODE_BITS, doc="what it is", low=1, high=len(OPCODES)),
    unsigned("lanes", 8, "lanes that it works on, the first so many; of a matmul, its columns N", 1, 128),
    *(
        unsigned(
            f"wait_{queue}",
            WAIT_BITS,
            f"the instruction of {queue} that must be complete before this one starts: 1 is the last one before it "
            "in the program, 2 the one before that; 0 none",
        )
        for queue in QUEUES
    ),
)


def _strides(name: str, what: str) -> list[InstructionField]:
    return [
        signed(f"{name}_stride{dim}", ADDRESS_BITS, f"bytes from one element of {what} to the next in dimension {dim}")
        for dim in range(3)
    ]


def _pattern(name: str, what: str) -> list[InstructionField]:
    """An access pattern in SBUF over the counts of the instruction."""
    return [
        unsigned(f"{name}_address", ADDRESS_BITS, f"byte of the lane at which {what} begins"),
        choice(f"{name}_type", _TYPES, "its element type"),
        *_strides(name, what),
    ]


_COUNTS = [
    unsigned(f"count{dim}", COUNT_BITS, f"elements in dimension {dim}" + (", the innermost" if not dim else ""), 1)
    for dim in range(3)
]
_SOURCE = choice("x_source", ("sbuf", "psum"), "where x comes from; rows of PSUM come in order, and fill the counts")


def _side(name: str) -> list[InstructionField]:
    """A side of a DMA."""
    return [
        choice(f"{name}_space", ("memory", "sbuf"), f"where the {name} lies"),
        unsigned(f"{name}_address", MEMORY_BITS, "its first byte, in memory or in each lane, a multiple of 4"),
        unsigned(f"{name}_lane", 7, "in SBUF, the first of its lanes"),
        flag(f"{name}_transposed", "in memory, the lanes of an element follow each other, not the elements of a lane"),
        signed(
            f"{name}_pitch", 32, "in memory, bytes from a lane to the next; if transposed, from an element to the next"
        ),
        signed(f"{name}_stride", 32, "bytes from one row of elements to the next"),
    ]


INSTRUCTIONS = {
    "dma": (
        *HEADER,
        unsigned("queue", 2, "the DMA queue that runs it"),
        choice("size", ("1", "2", "4"), "bytes of an element"),
        *_side("source"),
        *_side("sink"),
        unsigned("count0", COUNT_BITS, "elements of a row of each lane", 1),
        unsigned("count1", COUNT_BITS, "rows of each lane", 1),
        choice("indirect", ("none", "source", "sink"), "the side, in memory, whose lane p lies at index[p] * pitch"),
        unsigned("index_address", ADDRESS_BITS, "byte of the lane with its index, a u32"),
        word("index_limit", "indices below it are in range"),
        choice("out_of_range", ("error", "skip"), "what happens to a lane whose index is not"),
    ),
    "matmul": (
        *HEADER,
        unsigned("depth", 17, "K, the elements of each sum", 1, 65536),
        unsigned(
            "w_address", ADDRESS_BITS, "byte of the lane at which the stationary operand begins: n on lanes, k free"
        ),
        choice("w_type", _TYPES, "its element type"),
        signed("w_stride", ADDRESS_BITS, "bytes from one k to the next within a tile"),
        signed("w_tile_stride", ADDRESS_BITS, "bytes from one tile of P values of k to the next"),
        unsigned("x_address", ADDRESS_BITS, "byte of the lane at which the moving operand begins: k on lanes, m free"),
        choice("x_type", _TYPES, "its element type"),
        signed("x_stride0", ADDRESS_BITS, "bytes from one m to the next in dimension 0"),
        signed("x_stride1", ADDRESS_BITS, "bytes from one m to the next in dimension 1"),
        signed("x_tile_stride", ADDRESS_BITS, "bytes from one tile of P values of k to the next"),
        unsigned("count0", COUNT_BITS, "m in dimension 0, the innermost", 1),
        unsigned("count1", COUNT_BITS, "m in dimension 1; count0 * count1 is M", 1),
    ),
    "vector": (
        *HEADER,
        _SOURCE,
        *_pattern("x", "x"),
        flag("absolute", "x loses its sign first"),
        choice("op0", OPERATIONS, "t = x op0 a"),
        choice("a_kind", ("immediate", "lane", "tensor"), "what a is"),
        word("a", "a: an fp32 code, or the address of one fp32 element in each lane"),
        choice("op1", OPERATIONS, "y = t op1 b"),
        choice("b_kind", ("immediate", "lane", "tensor"), "what b is; only one of a and b is a tensor"),
        word("b", "b, as a"),
        *_pattern("t", "the tensor operand"),
        choice(
            "mask", ("none", "at_most", "at_least", "equal"), "which elements keep y: dimension 0's index i, by limit"
        ),
        signed("mask_base", ADDRESS_BITS, "the limit of lane 0"),
        signed("mask_lane", 9, "what the limit grows by from lane to lane"),
        word("fill", "the fp32 code that the others become"),
        flag("write", "y is written"),
        *_pattern("y", "y"),
        choice("reduce", REDUCTIONS, "what becomes of y along all of the dimensions"),
        unsigned("r_address", ADDRESS_BITS, "byte of the lane at which the reduced value is written, fp32 or u32"),
        *_COUNTS,
    ),
    "scalar": (
        *HEADER,
        _SOURCE,
        *_pattern("x", "x"),
        choice("scale_kind", ("immediate", "lane"), "what scale is"),
        word("scale", "t = x * scale: an fp32 code, or the address of one fp32 element in each lane"),
        choice("bias_kind", ("immediate", "lane"), "what bias is"),
        word("bias", "y = f(t + bias), as scale"),
        choice("function", FUNCTION_NAMES, "f"),
        flag("write", "y is written"),
        *_pattern("y", "y"),
        flag("sum", "y is added up along all of the dimensions"),
        unsigned("r_address", ADDRESS_BITS, "byte of the lane at which the sum is written, fp32"),
        *_COUNTS,
    ),
}

#: The names that the values of choices have, by instruction and field.
_CHOICES = {
    name: {entry.name: entry.names for entry in entries if entry.names} for name, entries in INSTRUCTIONS.items()
}


@dataclass(frozen=True)
class Instruction:
    """An instruction: its name, and its fields' values; those not given are 0, or the least that is legal.

    Parameters
    ----------
    name : str
        One of ``INSTRUCTIONS``.
    fields : mapping of str to int
        All of them after the opcode, as numbers.

    Raises
    ------
    TypeError, ValueError
        For a name that there is not, and for a value out of its field's range.
    """

    name: str
    fields: MappingProxyType = field(default_factory=lambda: MappingProxyType({}))

    def __init__(self, name: str, **values: object) -> None:
        if name not in INSTRUCTIONS:
            raise ValueError(f"an instruction must be one of {', '.join(INSTRUCTIONS)}, not {name!r}")
        fields = {}
        for entry in INSTRUCTIONS[name][1:]:
            given = values.pop(entry.name, None)
            fields[entry.name] = entry.low * (not entry.is_signed) if given is None else entry.value(given)
        if values:
            raise ValueError(f"{name} has no field {min(values)}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "fields", MappingProxyType(fields))

    def __getattr__(self, name: str) -> int:
        try:
            return object.__getattribute__(self, "fields")[name]
        except KeyError:
            raise AttributeError(f"{self.name} has no field {name}") from None

    def __str__(self) -> str:
        return disassemble(self)

    @property
    def queue_name(self) -> str:
        """The queue that it runs in."""
        return f"dma{self.fields['queue']}" if self.name == "dma" else {"matmul": "tensor"}.get(self.name, self.name)

    def named(self, name: str) -> str:
        """What the value of a field that is a choice is called."""
        return _CHOICES[self.name][name][self.fields[name]]

    def replace(self, **values: object) -> "Instruction":
        """The same instruction but for some fields."""
        kept = {name: self.named(name) if name in _CHOICES[self.name] else self.fields[name] for name in self.fields}
        return Instruction(self.name, **(kept | values))

    def wait(self, queue: str) -> int:
        """How far back in a queue's instructions it waits; 0 for not at all."""
        return self.fields[f"wait_{queue}"]


def instruction_layout(name: str) -> Layout:
    """Where the fields of an instruction stand, the opcode lowest."""
    return Layout(**{entry.name: entry.width for entry in INSTRUCTIONS[name]})


def encode(instruction: Instruction) -> bytes:
    """The 64 bytes of an instruction, least significant first."""
    entries = INSTRUCTIONS[instruction.name][1:]
    bits = {entry.name: entry.bits(instruction.fields[entry.name]) for entry in entries}
    packed = instruction_layout(instruction.name).pack(opcode=OPCODES[instruction.name], **bits)
    return packed.to_bytes(INSTRUCTION_BYTES, "little")


def decode(code: bytes) -> Instruction:
    """The instruction of 64 bytes. Raises ValueError, with the rule and the value, if they are none."""
    if len(code) != INSTRUCTION_BYTES:
        raise ValueError(f"an instruction must have {INSTRUCTION_BYTES} bytes, not {len(code)}")
    packed = int.from_bytes(code, "little")
    opcode = packed & (1 << OPCODE_BITS) - 1
    names = {number: name for name, number in OPCODES.items()}
    if opcode not in names:
        raise ValueError(f"opcode must be 1..{len(OPCODES)}, not {opcode}")
    layout = instruction_layout(names[opcode])
    if packed >> layout.width:
        raise ValueError(f"bits {layout.width} and up of a {names[opcode]} must be 0")
    bits = layout.unpack(packed)
    values = {}
    for entry in INSTRUCTIONS[names[opcode]][1:]:
        value = entry.number(bits[entry.name])
        if not entry.low <= value <= entry.high:
            raise ValueError(f"{entry.name} must be {entry.accepted}, not {value}")
        values[entry.name] = entry.names[value] if entry.names else value
    return Instruction(names[opcode], **values)


def disassemble(instruction: Instruction) -> str:
    """One line: the name, and every field that does not have the value that it has if it is not given."""
    plain = Instruction(instruction.name)
    parts = [
        f"{entry.name}={entry.text(instruction.fields[entry.name])}"
        for entry in INSTRUCTIONS[instruction.name][1:]
        if instruction.fields[entry.name] != plain.fields[entry.name]
    ]
    return " ".join([instruction.name, *parts])
