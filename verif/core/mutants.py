"""How the core, and the float blocks that it is made with, take part in the campaign of mutants."""

import re

import numpy as np

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from hw.core.verilog import core_verilog
from verif.core.blocks.units import BENCHES
from verif.core.unit import core_unit
from verif.core.workload import equal_jobs, random_jobs
from verif.mutants.hook import MutantHook
from verif.mutants.mutation import Mutation
from verif.mutants.replay import UnitReplay
from verif.mutants.units import Units

__all__ = ["BLOCK_MUTANTS", "MUTANTS"]


# ---- float blocks --------------------------------------------------------------------------------


def _blocks_verilog(_: None) -> str:
    """Each block's module, and those within."""
    modules = {}
    for bench in BENCHES.values():
        modules |= bench.modules()
    return "\n".join(modules.values())


def _blocks_benches(mutation: Mutation) -> tuple[Units]:
    return (Units(mutation, BENCHES),)


BLOCK_MUTANTS = MutantHook(
    configs={"float": None},
    # The narrower within the way out is the tensor engine's, and mutated there.
    modules=lambda _: tuple(BENCHES),
    verilog=_blocks_verilog,
    benches=_blocks_benches,
)

# ---- the core ------------------------------------------------------------------------------------

#: What is the core's own, but for blocks of which no proof clears a mutant that does nothing: instruction queues, where
#: it would have to know how many instructions may be outstanding; vector_lane, whose arithmetic the solver gives up;
#: dma_queue and lane_buffer, with memories that have an enable for each byte. The tensor engine, float blocks and
#: queues of hw/lib have benches of their own.
KINDS = (
    "sbuf", "sbuf_lane", "reader", "dispatcher", "tensor_front_end", "vector_engine", "scalar_engine", "scalar_lane",
    "float_alu", "reducer", "memory_port", "owners", "burst_walker", "rotator",
)  # fmt: skip
#: Programs of which a mutant must not survive all, and their pace.
PROGRAMS = 30
#: Of these as many more work on equal numbers.
EQUAL_PROGRAMS = 4
PACE = {"latency": 10, "idle": 0.2, "stall": 0.3}


def _modules(config: CoreConfig) -> tuple[str, ...]:
    """Every module of these kinds."""
    names = re.findall(r"^module (\w+)\b", core_verilog(config), re.MULTILINE)
    return tuple(name for kind in KINDS for name in names if re.match(rf"{kind}(_\d+)*_core_", name))


def _benches(mutation: Mutation) -> tuple[UnitReplay]:
    unit, rng = core_unit(mutation.config), np.random.default_rng(mutation.seed)
    jobs = random_jobs(mutation.config, rng, PROGRAMS, length=40, work=256)
    jobs += equal_jobs(mutation.config, rng, EQUAL_PROGRAMS)
    return (UnitReplay(mutation=mutation, unit=unit, jobs=jobs, pace=PACE),)


MUTANTS = MutantHook(configs={"core": CORES["tiny"]}, modules=_modules, verilog=core_verilog, benches=_benches)
