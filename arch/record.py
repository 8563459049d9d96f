"""A record: what a simulation drives and compares in one clock cycle, and where in it each signal lies."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from arch.layout import Layout

__all__ = ["Entry", "Field", "Group", "Record", "record_words", "stream_ports"]

#: A handshake signal.
FLAG = Layout(flag=1)


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


@dataclass(frozen=True)
class Entry:
    """A signal as a unit's table describes it: a field for each place it has.

    Parameters
    ----------
    name : str
        The port's name in Verilog, or the signal's own.
    layout : Layout
        What its bits are.
    drive : bool
        True: an input the simulation sets.
    """

    name: str
    layout: Layout
    drive: bool = False


@dataclass(frozen=True)
class Group:
    """Entries that lie side by side in a record: once, or once for each row, each column or each PE, row by row."""

    entries: Sequence[Entry]
    rows: int | None = None
    cols: int | None = None

    def fields(self) -> Iterator[Field]:
        """The fields in order."""
        for row in (None,) if self.rows is None else range(self.rows):
            for col in (None,) if self.cols is None else range(self.cols):
                for entry in self.entries:
                    yield Field(entry.name, entry.layout.width, entry.drive, row, col)


def stream_ports(inputs: Mapping[str, Layout], outputs: Mapping[str, Layout]) -> Group:
    """The ports of a unit's streams by their payloads: what the simulation drives, then what the unit answers.

    The payload of an input that is offered with ``valid`` 0 is 0.
    """
    driven, compared = [], []
    for name, layout in inputs.items():
        driven += [Entry(f"{name}__valid", FLAG, drive=True), Entry(f"{name}__payload", layout, drive=True)]
        compared.append(Entry(f"{name}__ready", FLAG))
    for name, layout in outputs.items():
        driven.append(Entry(f"{name}__ready", FLAG, drive=True))
        compared += [Entry(f"{name}__valid", FLAG), Entry(f"{name}__payload", layout)]
    return Group([*driven, *compared])


class Record:
    """The record of a unit: its groups, one after another.

    Members
    -------
    fields : tuple of Field
        In order.
    words : int
        32-bit words in all.
    layouts : dict of str to Layout
        Of each entry.
    """

    def __init__(self, groups: Iterable[Group]) -> None:
        groups = tuple(groups)
        self.layouts = {entry.name: entry.layout for group in groups for entry in group.entries}
        self.fields = tuple(field for group in groups for field in group.fields())
        self._places: dict[tuple, tuple[Field, int, int]] = {}
        at = 0
        for index, field in enumerate(self.fields):
            self._places[field.name, field.row, field.col] = field, index, at
            at += field.words
        self.words = at
        if len(self._places) != len(self.fields):
            raise ValueError("a record must have one field of a name in a place")

    def __contains__(self, field: Field) -> bool:
        return (field.name, field.row, field.col) in self._places

    def field(self, name: str, row: int | None = None, col: int | None = None) -> Field:
        """A field by its name and place; KeyError if there is none."""
        return self._places[name, row, col][0]

    def pack(self, values: Iterable[int]) -> list[int]:
        """The words of one record, of a value for each field in order."""
        pairs = zip(self.fields, values, strict=True)
        return [value >> 32 * word & 0xFFFFFFFF for field, value in pairs for word in range(field.words)]

    def index(self, field: Field) -> int:
        """Its number in the record."""
        return self._places[field.name, field.row, field.col][1]

    def at(self, name: str, row: int | None = None, col: int | None = None) -> slice:
        """The words of a field."""
        field, _, start = self._places[name, row, col]
        return slice(start, start + field.words)

    def streams(self, *, inputs: bool) -> list[str]:
        """The names of the streams that come in, or of those that go out."""
        ends = "__valid"
        return [f.name.removesuffix(ends) for f in self.fields if f.name.endswith(ends) and f.drive == inputs]


def record_words(fields: Sequence[Field]) -> int:
    """32-bit words of one record."""
    return sum(field.words for field in fields)
