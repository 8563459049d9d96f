"""The bench of mutants that every unit has: its jobs through the mutated RTL, its whole record compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from verif.mutants.mutation import SELECT, Mutation
from verif.simulation.replay import replay
from verif.simulation.rerun import Case
from verif.simulation.simulate import build_unit
from verif.simulation.simulator import Simulation
from verif.simulation.unit import Unit

__all__ = ["UnitReplay"]


@dataclass(frozen=True, kw_only=True)
class UnitReplay:
    """A unit with all mutants in it, on the jobs of one run; every module counts as part of that run."""

    mutation: Mutation
    unit: Unit
    jobs: Sequence
    pace: Mapping = field(default_factory=dict)
    simulator: str = "verilator"
    name: str = "unit"

    @cached_property
    def simulation(self) -> Simulation:
        """Built at its first use."""
        return build_unit(self.unit, simulator=self.simulator, rewrite=self.mutation.put_into)

    @cached_property
    def trace(self) -> list[np.ndarray]:
        """The stimulus and what is expected."""
        case = Case(unit=self.unit, jobs=self.jobs, pace=self.pace)
        return [chunk.copy() for chunk in case.stimulus().chunks()]

    def part(self, module: str) -> str:
        """One for all of them."""
        return self.name

    def run(self, part: str, number: int = 0) -> str | None:
        """The first difference with a mutant active, or None."""
        return replay(self.simulation, self.trace, plusargs=[f"+{SELECT}={number}"]).failure
