"""A bench of one block, and all of them in one simulation: a build costs more than most of their vectors."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from amaranth.lib import wiring

from arch.record import Field
from hw.lib.joining import join_modules
from verif.modules import plain_modules
from verif.simulation.harness import Harness
from verif.simulation.replay import Mismatch

__all__ = ["Bundle", "UnitBench", "cells_of"]

#: Records handed to the simulator in one piece.
CHUNK = 1 << 16


def cells_of(target: str) -> str:
    """Verilog of what a target's cells do."""
    return Path(__file__).with_name(f"{target}_cells.v").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class UnitBench:
    """One block, its record and the values of every field.

    Parameters
    ----------
    block : callable
        Makes the component.
    fields : tuple of Field
        Ports, and registers as ``registers`` names them.
    values : callable
        From a random generator to an array for every field name: unsigned[n] of up to 64 bits, or uint32[n, words].
    has_clock : bool
        It has ``clk`` and ``rst``, and may have a driven field ``i_reset``: a reset in mid-run.
    means : mapping
        Of an output that means nothing at times: when it means something, as Verilog over ``pe``. Else it counts as 0.
    target : str or None
        What it is emitted for, as ``emit_modules`` takes it.
    """

    name: str
    block: Callable[[], wiring.Component]
    fields: tuple[Field, ...]
    values: Callable[[np.random.Generator], Mapping[str, np.ndarray]]
    has_clock: bool = False
    registers: Mapping[str, str] = field(default_factory=dict)
    means: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None

    def modules(self) -> dict[str, str]:
        """Verilog by module name, the block's own first."""
        return plain_modules(self.block(), self.target)

    def path(self, item: Field) -> str | None:
        """A register as an expression over the block's instance path ``pe``; None for a port."""
        return None if item.row is None else self.registers[item.name]

    def records(self, rng: np.random.Generator) -> np.ndarray:
        """The trace: uint32[n, words]."""
        values = self.values(rng)
        return np.concatenate([_words(values[item.name], item) for item in self.fields], axis=1)


def _words(value: np.ndarray, item: Field) -> np.ndarray:
    """Values of a field as 32-bit words."""
    if value.ndim == 1:
        value = value.astype(np.uint64)
        if item.width < 64 and (value >> np.uint64(item.width)).any():
            raise ValueError(f"{item.name} must fit {item.width} bits")
        value = np.stack([value & 0xFFFFFFFF, value >> np.uint64(32)], axis=1).astype(np.uint32)[:, : item.words]
    return value


@dataclass(frozen=True)
class Bundle:
    """Units side by side in one device, of which a record drives all and compares one.

    Every unit sees the same input bits; ``i_unit`` chooses whose outputs show. The fields of a unit lie in the words
    they have in its own record, inputs in ``i_bits``, the others in ``o_bits``.

    Parameters
    ----------
    benches : sequence of UnitBench
    rewrite : callable or None
        Changes the emitted Verilog first: a bench of the benches plants its bugs with it.
    """

    benches: Sequence[UnitBench]
    rewrite: Callable[[str], str] | None = None

    @cached_property
    def harness(self) -> Harness:
        """Replays records of any of the units."""
        inputs, outputs = (
            max(sum(f.words for f in bench.fields if f.drive == drive) for bench in self.benches)
            for drive in (True, False)
        )
        return Harness(
            dut="bundle",
            fields=(
                Field("i_unit", 8, drive=True),
                Field("i_bits", 32 * inputs, drive=True),
                Field("o_bits", 32 * outputs),
            ),
        )

    def verilog(self) -> str:
        """The units and the module around them."""
        texts, declarations, cases = [], [], []
        for index, bench in enumerate(self.benches):
            modules = bench.modules()
            text = join_modules(modules)
            for name in modules:
                # Where a module begins, and where it is instantiated.
                text = re.sub(
                    rf"^(module |  ){name}(?=\(| #\(| \w+ \($)", rf"\1unit_{index}_{name}", text, flags=re.MULTILINE
                )
            texts.append(text)
            wires, shown = self._instance(index, bench, f"unit_{index}_{next(iter(modules))}")
            declarations += wires
            cases.append(f"      {index}: o_bits = {{{', '.join(reversed(shown))}}};")
        unit, inputs, outputs = (item.width - 1 for item in self.harness.fields)
        top = f"""
module bundle(
  input clk, input rst, input [{unit}:0] i_unit, input [{inputs}:0] i_bits, output reg [{outputs}:0] o_bits
);
{chr(10).join(declarations)}
  always_comb
    case (i_unit)
{chr(10).join(cases)}
      default: o_bits = 0;
    endcase
endmodule
"""
        cells = [cells_of(target) for target in {b.target for b in self.benches} if target]
        text = "\n".join([*texts, *cells, top])
        return self.rewrite(text) if self.rewrite else text

    def _instance(self, index: int, bench: UnitBench, module: str) -> tuple[list[str], list[str]]:
        """Lines that place a unit, and its outputs in whole words, the first lowest."""
        wires, shown, at = [], [], 0
        connections, reset = [".clk(clk)"] if bench.has_clock else [], "rst"
        for item in bench.fields:
            if item.drive:
                bits = f"i_bits[{at + item.width - 1}:{at}]"
                at += 32 * item.words
                if item.name == "i_reset":
                    reset = f"rst | {bits}"
                else:
                    connections.append(f".{item.name}({bits})")
                continue
            value = bench.path(item)
            if value is None:
                value = f"{item.name}_{index}"
                wires.append(f"  wire [{item.width - 1}:0] {value};")
                connections.append(f".{item.name}({value})")
                if item.name in bench.means:
                    value = f"({bench.means[item.name]} ? {value} : {item.width}'d0)".format(pe=f"unit_{index}")
            else:
                value = value.format(pe=f"unit_{index}")
            pad = 32 * item.words - item.width
            shown.append(f"{pad}'h0, {value}" if pad else value)
            shown[-1] = f"{{{shown[-1]}}}"
        if bench.has_clock:
            connections.append(f".rst({reset})")
        return [*wires, f"  {module} unit_{index} ({', '.join(connections)});"], shown

    def records(self, bench: UnitBench, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """A bench's trace as the bundle replays it, a piece at a time."""
        own = bench.records(rng)
        drives = np.repeat([f.drive for f in bench.fields], [f.words for f in bench.fields])
        _, inputs, outputs = self.harness.fields
        for start in range(0, len(own), CHUNK):
            part = own[start : start + CHUNK]
            records = np.zeros((len(part), 1 + inputs.words + outputs.words), np.uint32)
            records[:, 0] = self.benches.index(bench)
            records[:, 1 : 1 + np.count_nonzero(drives)] = part[:, drives]
            first = 1 + inputs.words
            records[:, first : first + np.count_nonzero(~drives)] = part[:, ~drives]
            yield records

    def describe(self, bench: UnitBench, mismatch: Mismatch) -> str:
        """A mismatch in the unit's own fields."""
        ((_, expected, actual),) = mismatch.fields
        if isinstance(actual, str):
            return f"{bench.name}, record {mismatch.cycle}: undefined bits {actual}"
        lines, at = [], 0
        for item in (f for f in bench.fields if not f.drive):
            wanted, found = (bits >> at & (1 << item.width) - 1 for bits in (expected, actual))
            at += 32 * item.words
            if wanted != found:
                lines.append(f"{bench.name}, record {mismatch.cycle}: {item.name} is {found:#x}, expected {wanted:#x}")
        return "\n".join(lines)
