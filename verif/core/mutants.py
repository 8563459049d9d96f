"""How the core, its registers, and the float blocks that it is made with take part in the campaign of mutants."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from hw.core.verilog import core_verilog
from verif.core.blocks.registers import registers_bench
from verif.core.blocks.units import BENCHES
from verif.core.faults import FAULTS, faulty_job
from verif.core.stops import stretches
from verif.core.unit import core_unit
from verif.core.workload import equal_jobs, random_jobs
from verif.mutants.hook import MutantHook
from verif.mutants.mutation import Mutation
from verif.mutants.replay import UnitReplay
from verif.mutants.units import Units
from verif.simulation.simulate import build_unit
from verif.simulation.simulator import Simulation

__all__ = ["BLOCK_MUTANTS", "MUTANTS"]


# ---- blocks that have benches of their own -------------------------------------------------------

_REGISTERS = registers_bench(CORES["tiny"])
_BENCHES = BENCHES | {_REGISTERS.name: _REGISTERS}


def _blocks_verilog(_: None) -> str:
    """Each block's module, and those within."""
    modules = {}
    for bench in _BENCHES.values():
        modules |= bench.modules()
    return "\n".join(modules.values())


def _blocks_benches(mutation: Mutation) -> tuple[Units]:
    return (Units(mutation, _BENCHES),)


BLOCK_MUTANTS = MutantHook(
    configs={"blocks": None},
    # The narrower within the way out is the tensor engine's, and mutated there.
    modules=lambda _: tuple(_BENCHES),
    verilog=_blocks_verilog,
    benches=_blocks_benches,
)

# ---- the core ------------------------------------------------------------------------------------

#: Modules of hw/lib and of the tensor engine, and those with benches of their own.
ELSEWHERE = ("arbiter", "stream_queue", r"memory_\d+", "stalling_delay", "narrower", *BENCHES)
#: Programs of which a mutant must not survive all, and their pace.
PROGRAMS = 30
#: Of these as many more work on equal numbers.
EQUAL_PROGRAMS = 4
#: Programs with a fault, of each kind; and programs that a reset cuts short after 1 to so many cycles.
FAULTY_PROGRAMS = 12
CUT_PROGRAMS, CUT = 20, 600
PACE = {"latency": 10, "idle": 0.2, "stall": 0.3}


def _modules(config: CoreConfig) -> tuple[str, ...]:
    """Every module that is the core's own."""
    names = re.findall(rf"^module (core|\w+_{config.tag}\w*)\b", core_verilog(config), re.MULTILINE)
    return tuple(name for name in names if not re.match("|".join(ELSEWHERE), name))


@dataclass(frozen=True, kw_only=True)
class _Stops(UnitReplay):
    """Programs that a reset ends, and what their faults or the reset leave undone."""

    cuts: dict[int, int]
    name: str = "stops"

    @cached_property
    def simulation(self) -> Simulation:
        """Built at its first use."""
        return build_unit(self.unit, simulator=self.simulator, rewrite=self.mutation.put_into, resets=True)

    @cached_property
    def trace(self) -> list[np.ndarray]:
        """The stimulus and what is expected."""
        return [records for records, _ in stretches(self.mutation.config, self.jobs, self.cuts, **self.pace)]


def _benches(mutation: Mutation) -> tuple[UnitReplay, ...]:
    config, rng = mutation.config, np.random.default_rng(mutation.seed)
    common = {"mutation": mutation, "unit": core_unit(config), "pace": PACE}
    jobs = random_jobs(config, rng, PROGRAMS, length=40, work=256)
    jobs += equal_jobs(config, rng, EQUAL_PROGRAMS)
    stops = random_jobs(config, rng, CUT_PROGRAMS, length=10, work=64)
    cuts = dict(enumerate(rng.integers(1, CUT, CUT_PROGRAMS).tolist()))
    stops += [faulty_job(config, rng, fault) for fault in FAULTS * FAULTY_PROGRAMS]
    return UnitReplay(jobs=jobs, name="programs", **common), _Stops(jobs=stops, cuts=cuts, **common)


MUTANTS = MutantHook(configs={"core": CORES["tiny"]}, modules=_modules, verilog=core_verilog, benches=_benches)
