"""Instructions as the kernels have them: a number for each field, as signed as it is, vector's and scalar's alike."""

import numpy as np

from arch.core.instructions import HEADER, INSTRUCTIONS, OPCODES, OPERATIONS, REDUCTIONS, instruction_layout
from golden.kernels import borrowing_kernel

__all__ = ["DMA", "LANE", "MATMUL", "SLOTS", "decode_fields", "field_table", "fields_dtype"]


def fields_dtype(*names: str) -> np.dtype:
    """A structure of so many numbers."""
    return np.dtype([(name, np.int64) for name in names])


def _names(instruction: str) -> list[str]:
    return [entry.name for entry in INSTRUCTIONS[instruction]]


#: What the scalar engine's fields are called here: its scale is the vector engine's a, its bias b.
_AS_VECTOR = {"scale_kind": "a_kind", "scale": "a", "bias_kind": "b_kind", "bias": "b", "sum": "reduce"}

DMA = fields_dtype(*_names("dma"))
MATMUL = fields_dtype(*_names("matmul"))
#: Of a lane engine.
LANE = fields_dtype(*_names("vector"), "function")
_PLACES = {"dma": DMA, "matmul": MATMUL, "vector": LANE, "scalar": LANE}
#: Numbers that any instruction fits in.
SLOTS = max(len(dtype.names) for dtype in _PLACES.values())
_HEADER = len(HEADER)
_SCALAR = OPCODES["scalar"]
_OP0, _OP1 = LANE.names.index("op0"), LANE.names.index("op1")
_MULTIPLY, _ADD = OPERATIONS.index("multiply"), OPERATIONS.index("add")
# A scalar instruction's `sum` is taken for `reduce` as it is.
assert REDUCTIONS[:2] == ("none", "add")


def field_table() -> np.ndarray:
    """int64[opcodes, fields, 4]: by opcode where each field begins, its width, whether it is signed, its place.

    A width of 0 ends an opcode's.
    """
    table = np.zeros((max(OPCODES.values()) + 1, SLOTS + 1, 4), np.int64)
    for name, opcode in OPCODES.items():
        layout = instruction_layout(name)
        for index, entry in enumerate(INSTRUCTIONS[name]):
            place = _PLACES[name].names.index(_AS_VECTOR.get(entry.name, entry.name))
            table[opcode, index] = layout.offset(entry.name), entry.width, entry.is_signed, place
    return table


@borrowing_kernel
def decode_fields(words, table, out):
    """The fields of an instruction, uint32[16], to int64[SLOTS]."""
    out[:] = 0
    opcode = np.int64(words[0]) & 15
    entries = table[min(opcode, table.shape[0] - 1)]
    for entry in range(entries.shape[0]):
        at, width = entries[entry, 0], entries[entry, 1]
        if width == 0:
            break
        value = np.int64(0)
        for bit in range(0, width, 32):
            place = at + bit
            pair = np.int64(words[place >> 5])
            if (place & 31) and place >> 5 < 15:
                pair |= np.int64(words[(place >> 5) + 1]) << 32
            # What is above 32 bits may have turned the pair negative: the mask drops the copies of its sign.
            value |= (pair >> (place & 31) & 0xFFFFFFFF) << bit
        value &= (1 << width) - 1
        if entries[entry, 2] and value >> width - 1:
            value -= 1 << width
        out[entries[entry, 3]] = value
    if opcode == _SCALAR:
        out[_OP0], out[_OP1] = _MULTIPLY, _ADD
