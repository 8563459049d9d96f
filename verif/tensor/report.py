"""What a divergence means, in two dozen lines: where, what was due, what went in, and how to see it again."""

from collections.abc import Sequence
from dataclasses import dataclass

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout
from verif.tensor.decode import decode_field, in_hex

__all__ = ["Difference", "Divergence", "Input", "place"]

#: Further signals of the same cycle that are named; those beyond are counted.
LISTED = 4
#: Columns of a result row that are shown.
SHOWN = 4

#: Of each field: how its place is named, the pipeline stage, and the files whose logic gives its value.
PLACES = {
    "weight": ("PE({row}, {col}).weight", "weight pipe", "hw/tensor/pe.py"),
    "shadow": ("PE({row}, {col}).shadow", "shadow weight plane", "hw/tensor/pe.py"),
    "active": ("PE({row}, {col}).active", "active weight plane", "hw/tensor/pe.py"),
    "beat": ("PE({row}, {col}).beat", "activation", "hw/tensor/pe.py"),
    "product": ("PE({row}, {col}).product", "product", "hw/arithmetic/multiplier.py, hw/tensor/pe.py"),
    "psum": ("PE({row}, {col}).psum", "accumulation", "{adder}, hw/tensor/pe.py"),
    "west": ("west edge, lane {row}", "activation entry", "hw/tensor/edges.py, {entry}"),
    "north": ("north edge, column {col}", "weight entry", "hw/tensor/edges.py, {entry}"),
    "seed_request": ("PSUM column {col}, seed request", "PSUM seed", "{request}"),
    "seed": ("PSUM column {col}, seed", "PSUM seed", "hw/tensor/bank.py"),
    "store": ("PSUM column {col}, store request", "PSUM store", "{request}"),
    "stored": ("PSUM column {col}, memory after a store", "PSUM store", "hw/tensor/bank.py"),
    "read": ("PSUM column {col}, read-out port", "PSUM read-out", "hw/tensor/bank.py"),
    "finish": ("sequencer, order to read a row out", "read-out order", "hw/tensor/sequencer.py"),
    "read_request": ("read-out, request", "PSUM read-out", "hw/tensor/readout.py, hw/tensor/sequencer.py (o_finished)"),
    "finishing": ("read-out, how the row is read out", "read-out", "hw/tensor/readout.py"),
    "o_result__valid": ("port o_result__valid", "read-out", "hw/tensor/readout.py"),
    "o_result__payload": ("port o_result__payload", "read-out", "hw/arithmetic/rounder.py, hw/tensor/readout.py"),
}
PORT = ("port {name}", "handshake", "hw/tensor/sequencer.py")


def place(field: Field) -> str:
    """Where a field is: ``PE(row, col).register``, a part of the engine, or a port."""
    return PLACES.get(field.name, PORT)[0].format(name=field.name, row=field.row, col=field.col)


def _order(field: Field) -> tuple:
    """Cause before effect, of signals that differ in one cycle.

    Registers were all loaded from a state in which nothing differed: none is the cause of another, and the PE nearest
    the north-west corner, where waves start, stands for all. Only what is not registered may follow from another
    signal: a wrong handshake lets a wrong row in at once, and the edges show what enters in the very cycle.
    """
    if field.name not in PLACES:
        return (0,)
    if field.name in ("west", "north", "finish"):
        return (1, field.row or field.col or 0)
    if field.row is not None:
        return (2, field.row + field.col, field.row)
    return (4 if field.name.startswith("o_result") else 3, field.col or 0)


@dataclass(frozen=True)
class Difference:
    """One signal that is not what the golden model says; binary text if the RTL's value has undefined bits."""

    field: Field
    expected: int
    actual: int | str

    @property
    def place(self) -> str:
        """Where it is."""
        return place(self.field)


@dataclass(frozen=True)
class Input:
    """A value that went into the one that differs, as RTL and golden model both had it in an earlier cycle."""

    cycle: int
    place: str
    text: str


@dataclass(frozen=True)
class Divergence:
    """The first cycle in which RTL and golden model differ.

    Parameters
    ----------
    cycle : int
        Cycles after reset.
    differences : sequence of Difference
        Every signal that differs in it, in a record's order.
    gemm, term : str
        The matrix product in hand; pass, m, n and k that the first place works on. Empty where none.
    out_format : str
        How results are read out.
    inputs : sequence of Input
        What went into the first place's value.
    hint : str
        What the difference is, where that is certain.
    job : int
        The number of the GEMM.
    ports_only : bool
        The array is too large for its registers to be compared.
    close_look : sequence of str
        What the same GEMM shows on an array small enough, a line each.
    files : sequence of str
        What else there is to look at, a line each.
    """

    config: EngineConfig
    cycle: int
    differences: Sequence[Difference]
    gemm: str = ""
    term: str = ""
    out_format: str = "fp32"
    inputs: Sequence[Input] = ()
    hint: str = ""
    job: int = 0
    ports_only: bool = False
    close_look: Sequence[str] = ()
    files: Sequence[str] = ()

    @property
    def first(self) -> Difference:
        """The place to look at: the earliest on the way of the data."""
        return min(self.differences, key=lambda difference: _order(difference.field))

    @property
    def stage(self) -> str:
        """The pipeline stage of the first place, and where its logic is."""
        field = self.first.field
        _, stage, files = PLACES.get(field.name, PORT)
        aligned = self.config.exact and not self.config.integer_operands
        adders = ["exact_adder.py" if self.config.exact else "fused_adder.py", *["aligner.py"] * aligned]
        names = {
            "adder": ", ".join(f"hw/arithmetic/{file}" for file in adders),
            "entry": self._entry(),
            # Requests enter column 0 from the sequencer and pass from bank to bank.
            "request": "hw/tensor/bank.py" if field.col else "hw/tensor/sequencer.py",
        }
        return f"{stage}: {files.format(**names)}"

    def _entry(self) -> str:
        """What lets activations and weights in: tags are the sequencer's, operands come from the decoder."""
        first = self.first
        if first.field.name == "north":
            return "hw/arithmetic/decoder.py; its format and enable: hw/tensor/sequencer.py"
        tags = (1 << beat_layout(self.config).offset("operand")) - 1
        if isinstance(first.actual, str) or (first.expected ^ first.actual) & tags:
            return "hw/tensor/sequencer.py"
        return "hw/arithmetic/decoder.py; its format: hw/tensor/sequencer.py"

    @property
    def columns(self) -> list[int]:
        """The columns of a result row that differ, where it is one that does."""
        first = self.first
        if first.field.name != "o_result__payload" or isinstance(first.actual, str):
            return []
        return [c for c in range(self.config.cols) if (first.expected ^ first.actual) >> 32 * c & 0xFFFFFFFF]

    def _value(self, bits: int | str) -> str:
        field, columns = self.first.field, self.columns
        if isinstance(bits, str):
            return f"0b{bits}  undefined"
        text = decode_field(self.config, field, bits, self.out_format, columns[:SHOWN])
        more = f", {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
        return text + more if columns else f"{in_hex(field, bits)}  {text}"

    def lines(self) -> list[str]:
        """The report, a line each: a label of ten characters, then what it names."""
        first = self.first
        lines = [
            f"RTL and golden model differ first in cycle {self.cycle}, at {first.place}",
            f"  stage     {self.stage}",
        ]
        if self.ports_only:
            lines.append(
                "  note      an array of that size is compared at its ports only: the cause lies some cycles earlier"
            )
        if self.gemm:
            lines.append(f"  gemm      {self.gemm}")
        if self.term:
            lines.append(f"  term      {self.term}")
        lines += [f"  expected  {self._value(first.expected)}", f"  actual    {self._value(first.actual)}"]
        if self.hint:
            lines.append(f"  hint      {self.hint}")
        if self.inputs:
            lines.append("  from, as in both:")
            width = max(len(f"cycle {i.cycle}  {i.place}") for i in self.inputs)
            lines += [f"    {f'cycle {i.cycle}  {i.place}':{width}}  {i.text}" for i in self.inputs]
        rest = [d for d in sorted(self.differences, key=lambda d: _order(d.field)) if d is not first]
        if rest:
            more = f", {len(rest) - LISTED} more" if len(rest) > LISTED else ""
            lines.append(f"  also      {'; '.join(d.place for d in rest[:LISTED])}{more}")
        return [*lines, *(f"  {line}" for line in (*self.files, *self.close_look))]
