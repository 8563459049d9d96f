"""What a unit gives so that faults are put into its modules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from verif.mutants.known import Known
from verif.mutants.mutation import Mutation

__all__ = ["Bench", "MutantHook"]


class Bench(Protocol):
    """A simulation with all mutants of a design in it, in one part or in several."""

    name: str

    def part(self, module: str) -> str | None:
        """The part that sees what a module does; None: no part does."""

    def run(self, part: str, number: int = 0) -> str | None:
        """What a part says with a mutant active, or without one: the first difference; None if there is none."""


@dataclass(frozen=True, kw_only=True)
class MutantHook:
    """A unit, as the mutants see it.

    Parameters
    ----------
    configs : mapping of str to a configuration
        Those in which it is mutated.
    modules : callable
        Of a configuration: names of the modules to be mutated.
    verilog : callable
        Of a configuration: the Verilog of the design, every module once.
    known : callable
        Of the name of a module and a configuration: what proofs about it may assume.
    benches : callable
        Of a ``Mutation``: what its mutants must not survive, in the order in which they run.
    """

    configs: Mapping[str, Any]
    modules: Callable[[Any], Sequence[str]]
    verilog: Callable[[Any], str]
    benches: Callable[[Mutation], Sequence[Bench]]
    known: Callable[[str, Any], Known] = lambda module, config: Known()

    def mutation(self, name: str, *, count: int, seed: int, **options) -> Mutation:
        """The mutants of one configuration; ``options`` as ``Mutation`` has them."""
        config = self.configs[name]
        return Mutation(
            name=name,
            config=config,
            modules=self.modules(config),
            verilog=self.verilog(config),
            known=lambda module: self.known(module, config),
            count=count,
            seed=seed,
            **options,
        )
