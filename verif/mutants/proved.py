"""Properties of a module as a bench of its mutants: a proof sees what no simulation comes to, a counter's top bits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verif.modules import module_text
from verif.mutants.mutation import SELECT, Mutation
from verif.proofs.prover import PROVED, Property, prove

__all__ = ["Proved"]


@dataclass(frozen=True)
class Proved:
    """The properties of each module, of a design whose modules have plain names.

    Parameters
    ----------
    mutation : Mutation
    properties : mapping of str to sequence of Property
    """

    mutation: Mutation
    properties: Mapping[str, Sequence[Property]]
    name: str = "proof"

    def part(self, module: str) -> str | None:
        """The module itself, if something is proved of it."""
        return module if module in self.properties else None

    def run(self, part: str, number: int = 0) -> str | None:
        """The first property that is not proved with a mutant active, as ``make formal`` would say; None: all are."""
        chosen = f"  wire [15:0] {SELECT} = 16'd{number};\n"
        pattern = rf"^  reg \[15:0\] {SELECT};\n  initial .*\n"
        mutated, found = re.subn(pattern, chosen, self.mutation.mutated[part], flags=re.MULTILINE)
        if found != 1:
            raise ValueError(f"{part} must choose its mutant in one place, not {found}")
        for prop in self.properties[part]:
            folder = self.mutation.directory / f"{prop.name}_{number}"
            outcome = prove(prop, folder, rewrite=lambda text: text.replace(module_text(text, part), mutated.strip()))
            if outcome.result != PROVED:
                return f"{prop.name} {outcome.result}: {outcome.counterexample or outcome.note}"
        return None
