"""Tensors that a kernel has in memory beside its parameters."""

import struct
from collections.abc import Iterable, Sequence

from arch.core.config import WORD_BYTES
from arch.elements import ELEMENTS
from kernels.language.errors import KernelError
from kernels.language.moves import load
from kernels.language.tiles import Tensor, Tile, element_bytes
from kernels.language.trace import current

__all__ = ["constant", "iota", "output", "scratch"]


def output(shape: Sequence[int], dtype: str = "fp32") -> Tensor:
    """A tensor that is a result of the kernel: all of it must be stored."""
    return current().tensor("output", shape, dtype)


def scratch(shape: Sequence[int], dtype: str = "fp32") -> Tensor:
    """A tensor that a kernel keeps something in for later."""
    return current().tensor("scratch", shape, dtype)


def constant(values: Iterable, dtype: str = "fp32") -> Tensor:
    """A tensor that is in memory when the program begins.

    ``values``: nested sequences or an array, of numbers for fp32, of codes for other types.
    """
    size, nested = element_bytes(dtype), _nested(values)
    shape, flat = [], [nested]
    while isinstance(flat[0], list):
        lengths = {len(part) if isinstance(part, list) else -1 for part in flat}
        if len(lengths) > 1 or 0 in lengths:
            raise KernelError("values must be nested evenly, some in each")
        shape += lengths
        flat = [value for part in flat for value in part]
    letter = "f" if dtype == "fp32" else {1: "B", 2: "H", 4: "I"}[size]
    if not shape:
        raise KernelError(f"values must be a sequence, not {values!r}")
    padding = bytes(-shape[-1] * size % WORD_BYTES)
    rows = (flat[start : start + shape[-1]] for start in range(0, len(flat), shape[-1]))
    try:
        contents = b"".join(struct.pack(f"<{shape[-1]}{letter}", *row) + padding for row in rows)
    except (struct.error, OverflowError) as error:
        raise KernelError(f"values must be {'numbers' if letter == 'f' else 'codes'} of {dtype}: {error}") from None
    return current().constant(tuple(shape), dtype, contents)


def _nested(values: object) -> object:
    if hasattr(values, "tolist"):
        return values.tolist()
    return [_nested(value) for value in values] if isinstance(values, Iterable) else values


def iota(lanes: int, count: int, *, lane_step: int = 0, step: int = 1, start: int = 0, dtype: str = "fp32") -> Tile:
    """A tile [lanes, count] of ``start + lane_step * p + step * i``, fp32 or u32, loaded from a constant."""
    if dtype not in ("fp32", "u32"):
        raise KernelError(f"dtype must be fp32 or u32, not {dtype!r}")
    assert ELEMENTS[dtype].bytes == WORD_BYTES
    rows = range(lanes if lane_step else 1)
    values = [[start + lane_step * lane + step * number for number in range(count)] for lane in rows]
    return load(constant(values, dtype).broadcast_to((lanes, count)))
