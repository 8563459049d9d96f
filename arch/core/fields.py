"""What a field of an instruction is: its width, what its bits mean, how it is written and read."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

__all__ = ["InstructionField", "choice", "flag", "signed", "unsigned", "word"]


@dataclass(frozen=True, kw_only=True)
class InstructionField:
    """A field of an instruction.

    Parameters
    ----------
    name : str
    width : int
        Bits.
    doc : str
        What it says, for docs/isa.md.
    is_signed : bool
        Two's complement.
    low, high : int
        The values that are legal in every core.
    names : tuple of str
        What each value is called; none for a number.
    is_word : bool
        32 bits that are an fp32 code or an address, as another field says.
    """

    name: str
    width: int
    doc: str
    is_signed: bool = False
    low: int = 0
    high: int = 0
    names: tuple[str, ...] = ()
    is_word: bool = False

    @property
    def accepted(self) -> str:
        """The legal values in words."""
        return " or ".join(self.names) if self.names else f"{self.low}..{self.high}"

    def value(self, given: object) -> int:
        """The number that stands for what was given: an integer, one of ``names``, for a word a float.

        Raises TypeError or ValueError with the rule and the value.
        """
        if self.names and given in self.names:
            return self.names.index(given)
        if self.is_word and isinstance(given, float):
            return struct.unpack("<I", struct.pack("<f", given))[0]
        try:
            number = index(given)
        except TypeError:
            raise TypeError(f"{self.name} must be {self.accepted}, not {given!r}") from None
        if self.names or not self.low <= number <= self.high:
            # A flag is also given as a bool.
            if not (self.names and isinstance(given, bool) and len(self.names) == 2):
                raise ValueError(f"{self.name} must be {self.accepted}, not {given!r}")
        return number

    def bits(self, value: int) -> int:
        """The value as it stands in an instruction."""
        return value & ((1 << self.width) - 1)

    def number(self, bits: int) -> int:
        """The value of bits in an instruction."""
        return bits - (1 << self.width) if self.is_signed and bits >> self.width - 1 else bits

    def text(self, value: int) -> str:
        """How the disassembler writes a value."""
        if self.names:
            return self.names[value] if value < len(self.names) else f"?{value}"
        return f"{value:#x}" if self.is_word else str(value)


def unsigned(name: str, width: int, doc: str, low: int = 0, high: int | None = None) -> InstructionField:
    """A number of 0 or more."""
    return InstructionField(name=name, width=width, doc=doc, low=low, high=(1 << width) - 1 if high is None else high)


def signed(name: str, width: int, doc: str) -> InstructionField:
    """A number of either sign."""
    half = 1 << width - 1
    return InstructionField(name=name, width=width, doc=doc, is_signed=True, low=-half, high=half - 1)


def choice(name: str, names: Sequence[str], doc: str) -> InstructionField:
    """One of several names, the first for 0."""
    width = (len(names) - 1).bit_length()
    return InstructionField(name=name, width=width, doc=doc, high=len(names) - 1, names=tuple(names))


def flag(name: str, doc: str) -> InstructionField:
    """Yes or no."""
    return choice(name, ("no", "yes"), doc)


def word(name: str, doc: str) -> InstructionField:
    """32 bits."""
    return InstructionField(name=name, width=32, doc=doc, high=(1 << 32) - 1, is_word=True)
