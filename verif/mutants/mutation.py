"""Mutants: small faults that yosys puts into Verilog, all in one design, one chosen at run time."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from verif.mutants.known import Known
from verif.proofs.yosys import yosys

__all__ = ["READ", "SELECT", "SOURCE", "Mutant", "Mutation"]

#: The plusarg, and the signal in each mutated module, that holds the number of the fault that is active; 0: none.
SELECT = "mutant"
#: The file of the Verilog that is mutated.
SOURCE = "design.v"
READ = f"read_verilog {SOURCE}\nproc\nmemory_collect\nopt_clean\n"


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
        lines = re.findall(r" -src (\S+)", self.command)
        return f"{text}, {lines[-1]}" if lines else text


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """The mutants of one design.

    Parameters
    ----------
    name : str
        Of the configuration.
    config
        What the design was built for.
    modules : sequence of str
        Those that are mutated.
    verilog : str
        The design, every module once.
    known : callable
        What is known of a module in the design, by its name.
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
    config: Any
    modules: Sequence[str]
    verilog: str
    known: Callable[[str], Known]
    count: int
    seed: int
    root: Path = Path("build") / "mutants"
    commands: Sequence[str] | None = None

    @cached_property
    def directory(self) -> Path:
        """Where yosys works."""
        path = self.root / f"{self.name}-{self.count}-{self.seed}"
        path.mkdir(parents=True, exist_ok=True)
        (path / SOURCE).write_text(self.verilog, encoding="utf-8")
        return path

    @cached_property
    def mutants(self) -> list[Mutant]:
        """All of them, numbered from 1."""
        commands = self._chosen() if self.commands is None else self.commands
        return [Mutant(number, command) for number, command in enumerate(commands, 1)]

    def _chosen(self) -> list[str]:
        """Commands that yosys chooses, of each module its share."""
        ends = [self.count * index // len(self.modules) for index in range(len(self.modules) + 1)]
        shares = {name: end - start for name, start, end in zip(self.modules, ends, ends[1:], strict=False)}
        shares = {name: share for name, share in shares.items() if share}
        lists = [f"mutate -list {share} -seed {self.seed} -o {name}.txt {name}\n" for name, share in shares.items()]
        yosys(READ + "".join(lists), self.directory, "list")
        return [
            line.strip()
            for name in shares
            for line in (self.directory / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        ]

    @cached_property
    def mutated(self) -> dict[str, str]:
        """Verilog of every mutated module, by name: the number after ``+mutant=`` chooses the fault in it."""
        script = READ + "".join(_controlled(mutant) for mutant in self.mutants)
        yosys(f"{script}write_verilog -noattr mutated.v\n", self.directory, "mutate")
        texts = _split_modules(_selectable((self.directory / "mutated.v").read_text(encoding="utf-8")))
        changed = {mutant.module for mutant in self.mutants}
        return {name: text for name, text in texts.items() if name in changed}

    def put_into(self, text: str) -> str:
        """Verilog of a design with every mutated module in place of its own. ValueError if one is not there once."""
        for name, mutated in self.mutated.items():
            module = rf"^module {name}\b.*?^endmodule\n"
            text, found = re.subn(module, lambda _, m=mutated: m, text, flags=re.MULTILINE | re.DOTALL)
            if found != 1:
                raise ValueError(f"the Verilog must have one module {name}, not {found}")
        return text


def _controlled(mutant: Mutant) -> str:
    """The command that puts the fault in, active while the input ``mutant`` holds its number."""
    return mutant.command.replace("mutate ", f"mutate -ctrl {SELECT} 16 {mutant.number} ", 1) + "\n"


def _selectable(text: str) -> str:
    """Each mutated module reads its plusarg in place of the input: no module around it changes."""
    text = re.sub(rf", {SELECT}\);", ");", text)
    text = re.sub(rf"^    \.{SELECT}\({SELECT}\),?\n", "", text, flags=re.MULTILINE)
    text = re.sub(r",\n  \);", "\n  );", text)
    # A fault may choose two branches of a case of which one is chosen: the first is taken, and no simulator stops.
    text = text.replace(" // synopsys parallel_case", "")
    return re.sub(
        rf"^  input \[15:0\] {SELECT};\n  wire \[15:0\] {SELECT};\n",
        # A fault takes one bit out of a vector and puts it back: no loop, but Verilator sees vectors.
        "  /* verilator lint_off UNOPTFLAT */\n"
        f'  reg [15:0] {SELECT};\n  initial if (!$value$plusargs("{SELECT}=%d", {SELECT})) {SELECT} = 0;\n',
        text,
        flags=re.MULTILINE,
    )


def _split_modules(text: str) -> dict[str, str]:
    """The modules of a Verilog text, by name."""
    return {m[1]: m[0] for m in re.finditer(r"^module (\w+)\b.*?^endmodule\n", text, re.DOTALL | re.MULTILINE)}
