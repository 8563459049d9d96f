"""What one record of a trace holds: the fields a simulation drives and compares in one clock cycle."""

from collections.abc import Sequence
from dataclasses import dataclass

from golden.spec.config import EngineConfig
from golden.spec.encodings import (
    activation_layout,
    command_layout,
    pe_registers,
    result_layout,
    weight_layout,
)

__all__ = ["Field", "engine_fields", "record_words"]


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
        The PE, for a register of one.
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


def engine_fields(config: EngineConfig, *, registers: bool = True) -> tuple[Field, ...]:
    """The record of a tensor engine: inputs, outputs, then (with ``registers``) every PE, row by row.

    Values are those during the cycle, just before the clock edge that ends it. A payload offered with
    ``valid`` 0 is 0.
    """
    fields = []
    for port, layout in (
        ("i_command", command_layout(config)),
        ("i_weight", weight_layout(config)),
        ("i_activation", activation_layout(config)),
    ):
        fields += [
            Field(f"{port}__valid", 1, drive=True),
            Field(f"{port}__payload", layout.width, drive=True),
        ]
    fields += [
        Field("o_result__ready", 1, drive=True),
        Field("i_command__ready", 1),
        Field("i_weight__ready", 1),
        Field("i_activation__ready", 1),
        Field("o_result__valid", 1),
        Field("o_result__payload", result_layout(config).width),
    ]
    if registers:
        for row in range(config.rows):
            for col in range(config.cols):
                fields += [Field(n, w, row=row, col=col) for n, w in pe_registers(config).items()]
    return tuple(fields)
