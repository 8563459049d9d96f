"""The benches that mutants must not survive: those of the units, and a replay of random traffic through the engine."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from arch.tensor.config import EngineConfig
from hw.lib.emission import name_of, plain_names
from hw.lib.memory import SyncMemory
from hw.tensor.verilog import engine_verilog
from verif.mutants.hook import Bench
from verif.mutants.mutation import SELECT, Mutation
from verif.mutants.units import Units
from verif.simulation.harness import Log
from verif.simulation.replay import ReplayResult, replay
from verif.simulation.simulator import Simulation, build
from verif.tensor.axi import ENGINE, axi_harness, plain_wrapper, shim_verilog
from verif.tensor.blocks.units import narrower_bench, unit_benches
from verif.tensor.mutants.assumptions import violations
from verif.tensor.unit import tensor_unit
from verif.tensor.workload.session import Stretch, session

__all__ = ["EngineTraffic", "benches", "psum_memory", "units"]

#: Idle and stall of the stretches of traffic without a reset in them.
PACES = ((0.4, 0.4), (0.0, 0.0), (0.5, 0.0), (0.0, 0.7))
#: Stretches that a reset cuts short.
CUTS = 8
#: Modules without a bench of their own, and the one around them that has one.
WITHIN = {"aligner": "exact_adder"}


def psum_memory(config: EngineConfig) -> str:
    """The module of a column's memory."""
    return plain_names(name_of(SyncMemory, config.psum_bits, config.psum_depth, 2, "any"))


def units(mutation: Mutation, simulator: str = "verilator") -> Units:
    """Each unit of the engine alone."""
    benches = (narrower_bench(), *unit_benches(mutation.name, mutation.config))
    within = WITHIN | {psum_memory(mutation.config): "psum_bank"}
    return Units(mutation, {bench.name.partition("-")[0]: bench for bench in benches}, within, simulator)


def _stretches(config: EngineConfig, rng: np.random.Generator) -> list[Stretch]:
    """Traffic of every pace to its end, then stretches that a reset cuts short."""
    # Tiles hold up to a ring of rows.
    groups = max(6, 960 // config.psum_depth)
    whole = [Stretch(groups=groups, idle=idle, stall=stall) for idle, stall in PACES]
    cuts = rng.integers(1, 2 * config.drain_latency + 4 * config.rows, CUTS)
    return [*whole, *(Stretch(groups=2, idle=0.2, stall=0.2, cut=int(cut), reset=2) for cut in cuts)]


@dataclass(frozen=True)
class EngineTraffic:
    """The engine in its AXI wrapper under random traffic, with resets in it.

    Every port and PE register is compared in every cycle.
    """

    mutation: Mutation
    simulator: str = "verilator"
    name = "engine"

    @cached_property
    def simulation(self) -> Simulation:
        """Built at its first use."""
        unit = tensor_unit(self.mutation.config)
        bits = f"{{{', '.join(reversed(self._violations.values()))}}}"
        log = Log(payload=bits, width=len(self._violations), state=bits, state_width=len(self._violations))
        config = self.mutation.config
        text = self.mutation.put_into(plain_names(engine_verilog(config)) + plain_wrapper(config))
        return build([text, shim_verilog(config)], axi_harness(unit, log), simulator=self.simulator, opt_level=1)

    @property
    def _violations(self) -> dict[str, str]:
        return violations(self.mutation.known, self.mutation.config, ENGINE)

    @cached_property
    def trace(self) -> list[np.ndarray]:
        """The stimulus and what is expected."""
        rng = np.random.default_rng(self.mutation.seed)
        return list(session(self.mutation.config, rng, _stretches(self.mutation.config, rng), masked=True))

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
    return units(mutation), EngineTraffic(mutation)
