"""The benches that mutants must not survive: those of the units, and a replay of random traffic through the engine."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from arch.record import Field
from arch.tensor.config import EngineConfig
from hw.lib.emission import name_of, plain_names
from hw.lib.memory import SyncMemory
from hw.tensor.verilog import engine_verilog
from verif.mutants.hook import Bench
from verif.mutants.mutation import SELECT, Mutation
from verif.mutants.units import Units
from verif.simulation.harness import Harness, Log
from verif.simulation.replay import Outcome, replay
from verif.simulation.simulator import Simulation, SimulatorError, build
from verif.tensor.mutants.assumptions import violations
from verif.tensor.unit import tensor_unit
from verif.tensor.units import narrower_bench, unit_benches
from verif.tensor.workload.traffic import traffic_trace

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


def _traffic_with_resets(config: EngineConfig, seed: int) -> Iterator[np.ndarray]:
    """Traces of random traffic, each but the first after a reset; the bit for the reset is the first word."""
    # Tiles hold up to a ring of rows.
    groups = max(6, 960 // config.psum_depth)
    for index, (idle, stall) in enumerate([*PACES, *[(0.2, 0.2)] * CUTS]):
        cut = index >= len(PACES)
        rng = np.random.default_rng([seed, index])
        # A column that is not in use is not stored: after a reset its sums are what PSUM held before.
        piece = traffic_trace(config, rng, 2 if cut else groups, whole=index > 0, idle=idle, stall=stall, seed=index)
        piece = np.concatenate([np.zeros((len(piece), 1), np.uint32), piece], axis=1)
        if cut:
            piece = piece[: len(piece) // 2 + index]
        piece[-1, 0] = 1
        yield piece


@dataclass(frozen=True)
class EngineTraffic:
    """The engine under random traffic, with resets in it; every port and PE register compared in every cycle."""

    mutation: Mutation
    simulator: str = "verilator"
    name = "engine"

    @cached_property
    def simulation(self) -> Simulation:
        """Built at its first use."""
        config = self.mutation.config
        unit = tensor_unit(config)
        items = (Field("i_reset", 1, drive=True), *unit.record.fields)
        ports = [f for f in items if unit.path(f) is None]
        declared = ", ".join(f"{'input' if f.drive else 'output'} [{f.width - 1}:0] {f.name}" for f in ports)
        connected = ", ".join(f".{f.name}({f.name})" for f in ports[1:])
        top = (
            f"module top(input clk, input rst, {declared});\n"
            f"  tensor_engine engine(.clk(clk), .rst(rst | i_reset), {connected});\nendmodule\n"
        )

        def path(item: Field) -> str | None:
            return unit.path(item, "dut.engine")

        bits = f"{{{', '.join(reversed(self._violations.values()))}}}"
        log = Log(payload=bits, width=len(self._violations), state=bits, state_width=len(self._violations))
        harness = Harness(dut="top", fields=items, path=path, log=log)
        return build([self._verilog(), top], harness, simulator=self.simulator, opt_level=1)

    @property
    def _violations(self) -> dict[str, str]:
        return violations(self.mutation.known, self.mutation.config, "dut.engine")

    def _verilog(self) -> str:
        text = plain_names(engine_verilog(self.mutation.config))
        for name, mutated in self.mutation.mutated.items():
            text, found = re.subn(rf"^module {name}\(.*?^endmodule\n", lambda _, m=mutated: m, text, flags=re.M | re.S)
            if found != 1:
                raise SimulatorError(f"the emitted Verilog has {found} modules {name}")
        return text

    @cached_property
    def trace(self) -> list[np.ndarray]:
        """The stimulus and what is expected."""
        return list(_traffic_with_resets(self.mutation.config, self.mutation.seed))

    def part(self, module: str) -> str:
        """One for all of them."""
        return self.name

    def replay(self, number: int = 0) -> Outcome:
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
