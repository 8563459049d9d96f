"""The benches that mutants must not survive: those of the units, and a replay of random traffic through the engine."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from arch.tensor.config import EngineConfig
from hw.lib.emission import plain_names
from hw.tensor.verilog import engine_verilog
from verif.mutants.hook import Bench
from verif.mutants.mutation import SELECT, Mutation
from verif.simulation.harness import RESET, Harness, Log
from verif.simulation.replay import ReplayResult, replay
from verif.simulation.simulator import Simulation, build
from verif.simulation.unit_bench import Bundle, UnitBench
from verif.tensor.blocks.units import narrower_bench, unit_benches
from verif.tensor.mutants.assumptions import violations
from verif.tensor.unit import tensor_unit
from verif.tensor.workload.session import Stretch, session

__all__ = ["EngineTraffic", "Units", "benches"]

#: Idle and stall of the stretches of traffic without a reset in them.
PACES = ((0.4, 0.4), (0.0, 0.0), (0.5, 0.0), (0.0, 0.7))
#: Stretches that a reset cuts short.
CUTS = 8
#: Modules without a bench of their own, and the one around them that has one.
WITHIN = {"aligner": "exact_adder"}


@dataclass(frozen=True, kw_only=True)
class _MutatedUnit(UnitBench):
    """The bench of a unit, with the mutants in its Verilog."""

    mutation: Mutation

    def modules(self) -> dict[str, str]:
        """Verilog by module name, the block's own first."""
        return {name: self.mutation.mutated.get(name, text) for name, text in super().modules().items()}


@dataclass(frozen=True)
class Units:
    """Each unit alone, all in one simulation; mutants run through the bench of their module or the one around it."""

    mutation: Mutation
    simulator: str = "verilator"
    name = "unit"

    @cached_property
    def benches(self) -> dict[str, UnitBench]:
        """By module."""
        benches = {}
        wanted = {WITHIN.get(module, module) for module in self.mutation.mutated}
        for bench in (narrower_bench(), *unit_benches(self.mutation.name, self.mutation.config)):
            module = bench.name.partition("-")[0]
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

    def part(self, module: str) -> str | None:
        """The module that has a bench: this one or the one around it."""
        around = WITHIN.get(module, module)
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


def _stretches(config: EngineConfig, rng: np.random.Generator) -> list[Stretch]:
    """Traffic of every pace to its end, then stretches that a reset cuts short."""
    # Tiles hold up to a ring of rows.
    groups = max(6, 960 // config.psum_depth)
    whole = [Stretch(groups=groups, idle=idle, stall=stall) for idle, stall in PACES]
    cuts = rng.integers(1, 2 * config.drain_latency + 4 * config.rows, CUTS)
    return [*whole, *(Stretch(groups=2, idle=0.2, stall=0.2, cut=int(cut)) for cut in cuts)]


@dataclass(frozen=True)
class EngineTraffic:
    """The engine under random traffic, with resets in it; every port and PE register compared in every cycle."""

    mutation: Mutation
    simulator: str = "verilator"
    name = "engine"

    @cached_property
    def simulation(self) -> Simulation:
        """Built at its first use."""
        unit = tensor_unit(self.mutation.config)
        bits = f"{{{', '.join(reversed(self._violations.values()))}}}"
        log = Log(payload=bits, width=len(self._violations), state=bits, state_width=len(self._violations))
        harness = Harness(dut=unit.top, fields=(RESET, *unit.record.fields), path=unit.path, log=log)
        text = self.mutation.put_into(plain_names(engine_verilog(self.mutation.config)))
        return build([text], harness, simulator=self.simulator, opt_level=1)

    @property
    def _violations(self) -> dict[str, str]:
        return violations(self.mutation.known, self.mutation.config, "dut")

    @cached_property
    def trace(self) -> list[np.ndarray]:
        """The stimulus and what is expected."""
        rng = np.random.default_rng(self.mutation.seed)
        return list(session(self.mutation.config, rng, _stretches(self.mutation.config, rng)))

    def part(self, module: str) -> str:
        """One for all of them."""
        return self.name

    def replay(self, number: int = 0) -> ReplayResult:
        """The whole trace, or its beginning up to the first difference."""
        return replay(self.simulation, self.trace, plusargs=[f"+{SELECT}={number}"])

    def run(self, part: str, number: int = 0) -> str | None:
        """The first difference with a mutant active, or None; without one, a broken assumption is a difference."""
        outcome = self.replay(number)
        seen = np.bitwise_or.reduce(outcome.entries, axis=0)
        broken = [name for bit, name in enumerate(self._violations) if seen[bit // 32] >> bit % 32 & 1]
        if number == 0 and broken:
            return f"inputs that proofs rule out: {', '.join(broken)}"
        return outcome.failure


def benches(mutation: Mutation) -> tuple[Bench, ...]:
    """All that the mutants of an engine must not survive."""
    return Units(mutation), EngineTraffic(mutation)
