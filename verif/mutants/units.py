"""The benches of blocks, with mutants in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np

from verif.mutants.mutation import SELECT, Mutation
from verif.simulation.replay import replay
from verif.simulation.simulator import Simulation, build
from verif.simulation.unit_bench import Bundle, UnitBench

__all__ = ["Units"]


@dataclass(frozen=True, kw_only=True)
class _MutatedUnit(UnitBench):
    """The bench of a unit, with the mutants in its Verilog."""

    mutation: Mutation

    def modules(self) -> dict[str, str]:
        """Verilog by module name, the block's own first."""
        return {name: self.mutation.mutated.get(name, text) for name, text in super().modules().items()}


@dataclass(frozen=True)
class Units:
    """Each unit alone, all in one simulation; mutants run through the bench of their module or the one around it.

    Parameters
    ----------
    mutation : Mutation
    known : mapping of str to UnitBench
        The bench of a module, by its name.
    within : mapping of str to str
        Modules without a bench of their own, and the one around them that has one.
    """

    mutation: Mutation
    known: Mapping[str, UnitBench]
    within: Mapping[str, str] = field(default_factory=dict)
    simulator: str = "verilator"
    name = "unit"

    @cached_property
    def benches(self) -> dict[str, UnitBench]:
        """Those that see a mutated module, by the module that they are of."""
        wanted = {self._around(module) for module in self.mutation.mutated}
        benches = {}
        for module, bench in self.known.items():
            if module in wanted:
                values = {item.name: getattr(bench, item.name) for item in fields(UnitBench)}
                benches[module] = _MutatedUnit(**values, mutation=self.mutation)
        return benches

    @cached_property
    def bundle(self) -> Bundle:
        """All of them."""
        return Bundle(tuple(self.benches.values()))

    @cached_property
    def simulation(self) -> Simulation:
        """Built at its first use."""
        return build([self.bundle.verilog()], self.bundle.harness, simulator=self.simulator, opt_level=1)

    @cached_property
    def _traces(self) -> dict[str, list[np.ndarray]]:
        return {}

    def _around(self, module: str) -> str:
        return self.within.get(module, module)

    def part(self, module: str) -> str | None:
        """The module that has a bench: this one or the one around it."""
        around = self._around(module)
        return around if around in self.benches else None

    def run(self, part: str, number: int = 0) -> str | None:
        """The first difference with a mutant active, or None."""
        bench = self.benches[part]
        if part not in self._traces:
            self._traces[part] = list(self.bundle.records(bench, np.random.default_rng(self.mutation.seed)))
        outcome = replay(self.simulation, self._traces[part], plusargs=[f"+{SELECT}={number}"])
        if outcome.mismatches:
            return self.bundle.describe(bench, outcome.mismatches[0]).partition("\n")[0]
        return outcome.failure
