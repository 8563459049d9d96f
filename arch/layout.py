"""Packed structures: what a vector of bits holds, least significant field first."""

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from types import MappingProxyType

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """A packed structure: ordered fields with their widths in bits, the first at bit 0."""

    fields: Mapping[str, int]

    def __init__(self, **fields: int) -> None:
        object.__setattr__(self, "fields", MappingProxyType(fields))

    @property
    def width(self) -> int:
        """Bits in all."""
        return sum(self.fields.values())

    def offset(self, name: str) -> int:
        """Position of the field's least significant bit."""
        offset = 0
        for field, width in self.fields.items():
            if field == name:
                return offset
            offset += width
        raise KeyError(name)

    def pack(self, **values: int) -> int:
        """The packed bits; fields not given are zero. Raises ValueError for a value that does not fit."""
        bits = 0
        for name, value in values.items():
            # A narrow integer of NumPy would lose what is shifted out of it.
            width, value = self.fields[name], index(value)
            if not 0 <= value < 1 << width:
                raise ValueError(f"{name} must fit {width} bits, not {value}")
            bits |= value << self.offset(name)
        return bits

    def unpack(self, bits: int) -> dict[str, int]:
        """Every field of packed bits, unsigned."""
        bits = index(bits)
        return {name: bits >> self.offset(name) & ((1 << width) - 1) for name, width in self.fields.items()}
