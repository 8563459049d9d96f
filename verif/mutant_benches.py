"""The benches that mutants must not survive: those of the units, and a replay of random traffic through the engine."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np

from golden.spec.config import EngineConfig
from golden.spec.trace import Field, engine_fields
from hw.lib.emission import plain_names
from hw.verilog import engine_verilog
from verif.harness import Harness, Log
from verif.mutant_assumptions import violations
from verif.mutants import SELECT, Mutation
from verif.probes import expression
from verif.replay import Outcome, replay
from verif.simulator import Simulation, SimulatorError, build
from verif.traffic import traffic_trace
from verif.unit_bench import Bundle, UnitBench
from verif.units import narrower_bench, unit_benches

__all__ = ["BENCHES", "Bench", "EngineTraffic", "Units", "traffic_with_resets"]

#: Idle and stall of the stretches of traffic without a reset in them.
PACES = ((0.4, 0.4), (0.0, 0.0), (0.5, 0.0), (0.0, 0.7))
#: Stretches that a reset cuts short.
CUTS = 8
#: Modules without a bench of their own, and the one around them that has one.
WITHIN = {"aligner": "exact_adder"}


class Bench(Protocol):
    """A simulation with all mutants of a configuration in it."""

    name: str
    simulation: Simulation

    def covers(self, module: str) -> bool:
        """Whether the bench is one of this module."""

    def run(self, module: str, number: int = 0) -> str | None:
        """What the bench of a module says with a mutant active: the first difference; None if there is none."""


@dataclass(frozen=True, kw_only=True)
class _MutatedUnit(UnitBench):
    """The bench of a unit, with the mutants in its Verilog."""

    mutation: Mutation

    def modules(self) -> dict[str, str]:
        """Verilog by module name, the block's own first."""
        return {name: self.mutation.modules.get(name, text) for name, text in super().modules().items()}


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
        wanted = {WITHIN.get(module, module) for module in self.mutation.modules}
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

    def covers(self, module: str) -> bool:
        """Whether there is a bench of this module."""
        return WITHIN.get(module, module) in self.benches

    def run(self, module: str, number: int = 0) -> str | None:
        """The first difference with a mutant active, or None."""
        module = WITHIN.get(module, module)
        bench = self.benches[module]
        if module not in self._traces:
            self._traces[module] = list(self.bundle.records(bench, np.random.default_rng(self.mutation.seed)))
        outcome = replay(self.simulation, self._traces[module], plusargs=[f"+{SELECT}={number}"])
        if outcome.mismatches:
            return self.bundle.explain(bench, outcome.mismatches[0]).partition("\n")[0]
        return outcome.failure


def traffic_with_resets(config: EngineConfig, seed: int) -> Iterator[np.ndarray]:
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
        items = (Field("i_reset", 1, drive=True), *engine_fields(config))
        ports = [f for f in items if expression(config, f) is None]
        declared = ", ".join(f"{'input' if f.drive else 'output'} [{f.width - 1}:0] {f.name}" for f in ports)
        connected = ", ".join(f".{f.name}({f.name})" for f in ports[1:])
        top = (
            f"module top(input clk, input rst, {declared});\n"
            f"  tensor_engine engine(.clk(clk), .rst(rst | i_reset), {connected});\nendmodule\n"
        )

        def path(item: Field) -> str | None:
            return expression(config, item, "dut.engine")

        bits = f"{{{', '.join(reversed(self._violations.values()))}}}"
        log = Log(payload=bits, width=len(self._violations), state=bits, state_width=len(self._violations))
        harness = Harness(dut="top", fields=items, path=path, log=log)
        return build([self._verilog(), top], harness, simulator=self.simulator, opt_level=1)

    @property
    def _violations(self) -> dict[str, str]:
        return violations(self.mutation.config, "dut.engine")

    def _verilog(self) -> str:
        text = plain_names(engine_verilog(self.mutation.config))
        for name, mutated in self.mutation.modules.items():
            text, found = re.subn(rf"^module {name}\(.*?^endmodule\n", lambda _, m=mutated: m, text, flags=re.M | re.S)
            if found != 1:
                raise SimulatorError(f"the emitted Verilog has {found} modules {name}")
        return text

    @cached_property
    def trace(self) -> list[np.ndarray]:
        """The stimulus and what is expected."""
        return list(traffic_with_resets(self.mutation.config, self.mutation.seed))

    def covers(self, module: str) -> bool:
        """All of them."""
        return True

    def replay(self, number: int = 0) -> Outcome:
        """The whole trace, or its beginning up to the first difference."""
        return replay(self.simulation, self.trace, plusargs=[f"+{SELECT}={number}"])

    def run(self, module: str, number: int = 0) -> str | None:
        """The first difference with a mutant active, or None; without one, a broken assumption is a difference."""
        outcome = self.replay(number)
        seen = np.bitwise_or.reduce(outcome.entries, axis=0)
        broken = [name for bit, name in enumerate(self._violations) if seen[bit // 32] >> bit % 32 & 1]
        if number == 0 and broken:
            return f"inputs that proofs rule out: {', '.join(broken)}"
        return outcome.failure


BENCHES: tuple[type[Bench], ...] = (Units, EngineTraffic)
