"""Some cycles of the golden model around a divergence, and signals in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arch.layout import Layout
from arch.record import Field
from verif.simulation.unit import Probe, Unit

__all__ = ["Input", "Moment", "Window", "event_name", "in_hex"]


def in_hex(field: Field, bits: int) -> str:
    """All digits of a field."""
    return f"0x{bits:0{-(-field.width // 4)}x}"


def event_name(name: str, row: int | None = None) -> str:
    """What a window calls the events of a stream, or of a mark: one for each of its rows."""
    return name if row is None else f"{name}[{row}]"


@dataclass(frozen=True)
class Window:
    """Some cycles of the golden model, and what happened before them.

    Parameters
    ----------
    records : uint32[cycles, words]
        The unit's.
    start : int
        The cycle of the first.
    jobs : sequence
        All that were offered up to the last cycle.
    job : int
        The number of the one in hand.
    events : mapping of str to int64[n]
        Cycles, from reset on, in which each stream made a transfer and each of the unit's marks was set, by
        ``event_name``.
    """

    unit: Unit
    records: np.ndarray
    start: int
    jobs: Sequence = ()
    job: int = 0
    events: Mapping[str, np.ndarray] | None = None

    def has(self, cycle: int, field: Field) -> bool:
        """Whether the window holds the field in that cycle."""
        return 0 <= cycle - self.start < len(self.records) and field in self.unit.record

    def value(self, cycle: int, field: Field) -> int:
        """Its contents in a cycle."""
        words = self.records[cycle - self.start, self.unit.record.at(field.name, field.row, field.col)]
        return sum(int(word) << 32 * i for i, word in enumerate(words))

    def port(self, cycle: int, name: str) -> int:
        """The contents of a port in a cycle."""
        return self.value(cycle, self.unit.record.field(name))


@dataclass(frozen=True)
class Input:
    """A value that went into the one that differs, as RTL and golden model both had it; ``field`` holds it."""

    cycle: int
    place: str
    text: str
    field: Field | None = None


@dataclass(frozen=True)
class Moment:
    """A signal in a cycle of a window, where RTL and golden model differ with what the RTL has.

    ``actual`` is binary text if the RTL's value has undefined bits.
    """

    window: Window
    field: Field
    cycle: int
    actual: int | str | None = None

    @property
    def config(self) -> Any:
        """The unit's configuration."""
        return self.window.unit.config

    @property
    def probe(self) -> Probe:
        """What is known of the signal."""
        return self.window.unit.probe(self.field)

    @property
    def layout(self) -> Layout:
        """What its bits are."""
        return self.window.unit.record.layouts[self.field.name]

    @property
    def row(self) -> int | None:
        """Its row."""
        return self.field.row

    @property
    def col(self) -> int | None:
        """Its column."""
        return self.field.col

    @property
    def known(self) -> bool:
        """Whether the window holds it."""
        return self.window.has(self.cycle, self.field)

    @property
    def bits(self) -> int:
        """What the golden model has."""
        return self.window.value(self.cycle, self.field)

    @property
    def parts(self) -> dict[str, int]:
        """The same, by the parts of its layout."""
        return self.layout.unpack(self.bits)

    @property
    def differs(self) -> int:
        """The bits that are wrong; 0 where the RTL's are undefined."""
        return self.bits ^ self.actual if isinstance(self.actual, int) else 0

    def at(self, name: str, row: int | None = None, col: int | None = None, *, ago: int = 0) -> "Moment":
        """Another signal, so many cycles before; KeyError where the record has none."""
        return Moment(self.window, self.window.unit.record.field(name, row, col), self.cycle - ago)

    def same(self, name: str, *, ago: int = 0) -> "Moment":
        """Another signal of the same place."""
        return self.at(name, self.row, self.col, ago=ago)

    def ago(self, cycles: int) -> "Moment":
        """The same signal so many cycles before."""
        return replace(self, cycle=self.cycle - cycles, actual=None)

    def contents(self, bits: int) -> str:
        """Bits of this signal, in words."""
        if self.probe.contents is not None:
            return self.probe.contents(self.config, bits)
        parts = self.layout.unpack(bits)
        return str(bits) if len(parts) == 1 else " ".join(f"{name}={value}" for name, value in parts.items())

    def shown(self, bits: int | str) -> str:
        """Bits of this signal, as a report shows them."""
        if isinstance(bits, str):
            return f"0b{bits}  undefined"
        if self.probe.shown is not None:
            return self.probe.shown(self, bits)
        return f"{in_hex(self.field, bits)}  {self.contents(bits)}"

    def input(self) -> Input:
        """What it is to a signal that is made of it."""
        text = f"{in_hex(self.field, self.bits)}  {self.contents(self.bits)}"
        return Input(self.cycle, self.window.unit.place(self.field), text, self.field)
