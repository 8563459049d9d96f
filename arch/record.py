"""A record: the fields that a simulation drives and compares in one clock cycle."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Field", "record_words"]


@dataclass(frozen=True)
class Field:
    """One signal in a record; it takes whole 32-bit words, the least significant first.

    Parameters
    ----------
    name : str
        The port's name in Verilog, or the register's name.
    width : int
        Bits.
    drive : bool
        True: an input the simulation sets. False: compared in every cycle.
    row, col : int or None
        The PE, for a register of one. A lane's edge has a row alone; what belongs to a column has a col alone.
    """

    name: str
    width: int
    drive: bool = False
    row: int | None = None
    col: int | None = None

    @property
    def words(self) -> int:
        """32-bit words the field takes."""
        return (self.width + 31) // 32


def record_words(fields: Sequence[Field]) -> int:
    """32-bit words of one record."""
    return sum(field.words for field in fields)
