"""Some cycles of the golden model around a divergence."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.signals import engine_fields
from golden.tensor.schedule import Pass

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """Some cycles of the golden model around a divergence, and what happened before them.

    Parameters
    ----------
    records : uint32[cycles, words]
        As ``engine_fields(config, registers=...)``.
    start : int
        The cycle of the first.
    passes : sequence of Pass
        All passes up to the last cycle and at least one more GEMM's, if there is one.
    rows, weights, results, reads : int64[n]
        Cycles, from reset on, in which an activation row, a weight row and a result row were taken, and a PSUM row read
        out; the last is empty without registers.
    x_format, w_format : str
        Of the matrix product in hand.
    """

    config: EngineConfig
    registers: bool
    records: np.ndarray
    start: int
    passes: Sequence[Pass]
    rows: np.ndarray
    weights: np.ndarray
    results: np.ndarray
    reads: np.ndarray
    x_format: str
    w_format: str

    def __post_init__(self) -> None:
        fields, at = {}, 0
        for field in engine_fields(self.config, registers=self.registers):
            fields[field.name, field.row, field.col] = field, at
            at += field.words
        object.__setattr__(self, "_fields", fields)

    def field(self, name: str, row: int | None = None, col: int | None = None) -> Field:
        """A field by its name and place."""
        return self._fields[name, row, col][0]

    def has(self, cycle: int, field: Field) -> bool:
        """Whether the window holds the field in that cycle."""
        return 0 <= cycle - self.start < len(self.records) and (field.name, field.row, field.col) in self._fields

    def value(self, cycle: int, field: Field) -> int:
        """Its contents in a cycle."""
        at = self._fields[field.name, field.row, field.col][1]
        words = self.records[cycle - self.start, at : at + field.words]
        return sum(int(word) << 32 * i for i, word in enumerate(words))

    def port(self, cycle: int, name: str) -> int:
        """The contents of a port in a cycle."""
        return self.value(cycle, self.field(name))

    def moved(self, cycle: int, back: int) -> int:
        """The last cycle before this one in which the read-out moved, or so many such cycles further back.

        Before the window's first cycle if that is not in the window.
        """
        for at in range(cycle - 1, self.start - 1, -1):
            if not self.port(at, "o_result__valid") or self.port(at, "o_result__ready"):
                if not back:
                    return at
                back -= 1
        return self.start - 2
