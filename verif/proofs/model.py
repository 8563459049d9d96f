"""The device and its harness as formulas: yosys' SMT-LIB text, and what a query about it looks like."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from verif.proofs.yosys import yosys

__all__ = ["Counterexample", "Model"]

#: Memories become registers, flip-flops plain ones: a state is one bit vector. Undefined bits may be anything.
_PREPARE = """
read_verilog -formal -sv {files}
hierarchy -check -top proof
proc
flatten
memory_nordff
memory_map
cd proof
{peeks}
cd
setundef -anyseq
opt -full
async2sync
dffunmap
opt_clean
check -assert
"""
_WRITE_SMT = "write_smt2 -stbv -wires proof.smt2\n"


class Model:
    """A harness ``proof`` around emitted Verilog, written to a folder of its own.

    Parameters
    ----------
    folder : Path
        Takes all files; what is there is overwritten.
    device, harness : str
        Verilog of the device, and of module ``proof`` with what it needs.
    peeks : mapping
        Undriven wires of the harness that are to be signals of the device, by the signals' paths.
    """

    def __init__(self, folder: Path, device: str, harness: str, peeks: Mapping[str, str]):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "device.v").write_text(device, encoding="utf-8")
        (folder / "proof.sv").write_text(harness, encoding="utf-8")
        connections = "\n".join(f"connect -nounset -set {wire} {path}" for wire, path in peeks.items())
        self._prepare = _PREPARE.format(files="device.v proof.sv", peeks=connections)

    @cached_property
    def smt(self) -> str:
        """The transition system as SMT-LIB functions of a state."""
        yosys(self._prepare + _WRITE_SMT, self.folder, "smt")
        return (self.folder / "proof.smt2").read_text(encoding="utf-8")

    @cached_property
    def shown(self) -> dict[str, int]:
        """Wires of the harness itself and their widths; those of the device below it are left out."""
        wires = re.findall(r"^; yosys-smt2-wire (\S+) (\d+)$", self.smt, re.MULTILINE)
        return {name: int(width) for name, width in wires if "." not in name and name != "clk"}

    @cached_property
    def inputs(self) -> list[str]:
        """The harness' inputs."""
        return [name for name in re.findall(r"^; yosys-smt2-input (\S+)", self.smt, re.MULTILINE) if name in self.shown]

    @cached_property
    def assertions(self) -> list[str]:
        """Labels of the harness' assertions, in the order of ``|proof_a i|``."""
        return re.findall(r"^; yosys-smt2-assert \d+ (\S+)", self.smt, re.MULTILINE)

    def query(self, depth: int, *, initial: bool, induction: bool = False, claims: bool = False, where="") -> str:
        """An SMT-LIB file that is satisfiable if step ``depth`` can violate an assertion.

        ``initial``: step 0 is the reset state; otherwise it is any. ``induction``: the steps before hold.
        ``claims``: not those that are invariants: labelled ``inv_...``, or not at all.
        ``where``: a condition on ``s0`` beside the harness' assumptions.
        """
        lines = self._steps(depth, initial)
        if induction:
            lines += [f"(assert (|proof_a| s{step}))" for step in range(depth)]
        if where:
            lines.append(f"(assert {where})")
        wanted = [
            f"(|proof_a {index}| s{depth})"
            for index, label in enumerate(self.assertions)
            if not (claims and label.startswith(("inv_", "$")))
        ]
        lines += [f"(assert (not (and {' '.join(wanted)} true)))", "(check-sat)", self._values(depth)]
        return "\n".join(lines) + "\n"

    def same_state(self, twins: Sequence[str]) -> str:
        """That the registers of some instances hold the same in ``s0``. One that is missed makes a proof fail."""
        first, *others = twins or [""]
        names = re.findall(rf"^; yosys-smt2-register {first}\.(\S+)", self.smt, re.MULTILINE)
        known = set(re.findall(r"^\(define-fun \|proof_n ([^|]+)\|", self.smt, re.MULTILINE))
        pairs = [
            f"(= (|proof_n {first}.{name}| s0) (|proof_n {twin}.{name}| s0))"
            for twin in others
            for name in names
            if {f"{first}.{name}", f"{twin}.{name}"} <= known
        ]
        return f"(and {' '.join(pairs)})" if pairs else ""

    def reach(self, wire: str, depth: int) -> str:
        """An SMT-LIB file that is satisfiable if a one-bit wire can be 1 in one of the first steps from reset."""
        any_step = " ".join(f"(|proof_n {wire}| s{step})" for step in range(depth + 1))
        return "\n".join([*self._steps(depth, True), f"(assert (or {any_step}))", "(check-sat)"]) + "\n"

    def _steps(self, depth: int, initial: bool) -> list[str]:
        """The states up to step ``depth`` and what ties them together."""
        lines = ["(set-logic QF_BV)", "(set-option :produce-models true)", self.smt]
        for step in range(depth + 1):
            lines.append(f"(declare-const s{step} |proof_s|)")
            lines.append(f"(assert (and (|proof_u| s{step}) (|proof_h| s{step})))")
            if step:
                lines.append(f"(assert (|proof_t| s{step - 1} s{step}))")
        return [*lines, "(assert (|proof_i| s0))"] if initial else lines

    def _values(self, depth: int) -> str:
        """Values of the assertions and the wires in every step, for a counterexample."""
        terms = [f"(|proof_a {index}| s{depth})" for index in range(len(self.assertions))]
        terms += [f"(|proof_n {name}| s{step})" for step in range(depth + 1) for name in self.shown]
        return f"(get-value ({' '.join(terms)}))" if terms else ""

    def counterexample(self, answer: str, depth: int) -> "Counterexample":
        """What a satisfiable query printed."""
        values = re.findall(r"(#x[0-9a-f]+|#b[01]+|true|false)\)", answer)
        numbers = [_number(value) for value in values]
        failed = [
            label for label, holds in zip(self.assertions, numbers[: len(self.assertions)], strict=True) if not holds
        ]
        numbers = numbers[len(self.assertions) :]
        width = len(self.shown)
        steps = [dict(zip(self.shown, numbers[i * width : (i + 1) * width], strict=True)) for i in range(depth + 1)]
        return Counterexample(failed, steps, self.inputs)


def _number(text: str) -> int:
    if text in ("true", "false"):
        return int(text == "true")
    return int(text[2:], 16 if text[1] == "x" else 2)


class Counterexample:
    """Assertions that fail in the last of some steps, and the harness' wires in all of them."""

    def __init__(self, failed: Sequence[str], steps: Sequence[dict[str, int]], inputs: Sequence[str]):
        self.failed = failed
        self.steps = steps
        self.inputs = inputs

    def __str__(self) -> str:
        values = " ".join(f"{name}={self.steps[-1][name]:#x}" for name in self.inputs)
        return f"{', '.join(self.failed)} fails in step {len(self.steps) - 1} with {values}"
