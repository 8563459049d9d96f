"""How the core, its registers, and the float blocks that it is made with take part in the campaign of mutants."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import instruction_layout
from arch.core.layouts import NUMBER_BITS
from arch.core.presets import CORES
from hw.core.verilog import core_verilog
from verif.core.blocks.legal import legal_bench
from verif.core.blocks.registers import registers_bench
from verif.core.blocks.units import BENCHES
from verif.core.faults import FAULTS, faulty_job
from verif.core.proofs.registers import register_properties
from verif.core.stops import stretches
from verif.core.unit import core_unit
from verif.core.workload import equal_jobs, random_jobs
from verif.mutants.hook import MutantHook
from verif.mutants.known import Guard, Known
from verif.mutants.mutation import Mutation
from verif.mutants.proved import Proved
from verif.mutants.replay import UnitReplay
from verif.mutants.units import Units
from verif.simulation.simulate import build_unit
from verif.simulation.simulator import Simulation

__all__ = ["BLOCK_MUTANTS", "MUTANTS"]


# ---- blocks that have benches of their own -------------------------------------------------------

_BENCHES = BENCHES | {each.name: each for each in (registers_bench(CORES["tiny"]), legal_bench(CORES["tiny"]))}


def _blocks_verilog(_: None) -> str:
    """Each block's module, and those within."""
    modules = {}
    for bench in _BENCHES.values():
        modules |= bench.modules()
    return "\n".join(modules.values())


def _blocks_benches(mutation: Mutation) -> tuple[Units, Proved]:
    # Of counters that no run brings to their tops.
    return Units(mutation, _BENCHES), Proved(mutation, {"core_registers": tuple(register_properties())})


BLOCK_MUTANTS = MutantHook(
    configs={"blocks": None},
    # The narrower within the way out is the tensor engine's, and mutated there.
    modules=lambda _: tuple(_BENCHES),
    verilog=_blocks_verilog,
    benches=_blocks_benches,
)

# ---- the core ------------------------------------------------------------------------------------

#: Modules of hw/lib and of the tensor engine, and those with benches of their own.
ELSEWHERE = ("arbiter", "stream_queue", r"memory_\d+", "stalling_delay", "narrower", *_BENCHES)
#: Programs, one after another, of which a mutant must not survive all; of these some work on equal numbers.
PROGRAMS, EQUAL_PROGRAMS = 60, 8
PACE = {"latency": 10, "idle": 0.2, "stall": 0.3}
#: Each at one of these paces, a reset behind each: programs, some with equal numbers, some cut short after 1 to so many
#: cycles, and some with a fault, so many of each kind.
PACES = ({"latency": 1}, PACE, {"latency": 40, "idle": 0.5, "stall": 0.6})
WHOLE, EQUAL, CUT, CUT_CYCLES, FAULTY = 60, 12, 100, 600, 40


def _modules(config: CoreConfig) -> tuple[str, ...]:
    """Every module that is the core's own, but for the one that joins them."""
    names = re.findall(rf"^module (\w+_{config.tag}\w*)\b", core_verilog(config), re.MULTILINE)
    return tuple(name for name in names if not re.match("|".join(ELSEWHERE), name))


@dataclass(frozen=True, kw_only=True)
class _Stops(UnitReplay):
    """Programs that a reset ends, at several paces, and what their faults or the reset leave undone."""

    cuts: dict[int, int]
    name: str = "stops"

    @cached_property
    def simulation(self) -> Simulation:
        """Built at its first use."""
        return build_unit(self.unit, simulator=self.simulator, rewrite=self.mutation.put_into, resets=True)

    @cached_property
    def trace(self) -> list[np.ndarray]:
        """The stimulus and what is expected."""
        rng = np.random.default_rng(self.mutation.seed)
        paces = [PACES[number] for number in rng.integers(0, len(PACES), len(self.jobs))]
        return [records for records, _ in stretches(self.mutation.config, self.jobs, self.cuts, paces)]


def _benches(mutation: Mutation) -> tuple[UnitReplay, ...]:
    config, rng = mutation.config, np.random.default_rng(mutation.seed)
    common = {"mutation": mutation, "unit": core_unit(config)}
    jobs = random_jobs(config, rng, PROGRAMS, length=40, work=256) + equal_jobs(config, rng, EQUAL_PROGRAMS)
    stops = random_jobs(config, rng, CUT, length=10, work=64)
    cuts = dict(enumerate(rng.integers(1, CUT_CYCLES, CUT).tolist()))
    stops += random_jobs(config, rng, WHOLE, length=40, work=256) + equal_jobs(config, rng, EQUAL)
    stops += [faulty_job(config, rng, fault) for fault in FAULTS * FAULTY]
    return UnitReplay(jobs=jobs, pace=PACE, name="programs", **common), _Stops(jobs=stops, cuts=cuts, **common)


def _known(module: str, config: CoreConfig) -> Known:
    """Of instruction queues: they are given none while they are full, and what no instruction is in means nothing.

    None waits for its own queue, nor for more instructions than another one may have: those that it holds and those
    that its engine is at, four of the tensor engine, one of any other.
    """
    kind = re.fullmatch(rf"instruction_queue_{config.tag}_(\w+)", module)
    if not kind:
        return Known()
    depth, width = config.queue_depth, instruction_layout(kind[1]).width + NUMBER_BITS
    guards = [Guard("register", f"entry_{at}", 0, width, f"o_level > {at}") for at in range(depth)]
    guards += [
        Guard("register", f"remaining_{queue}_{at}", 0, config.outstanding_bits, f"o_level > {at}")
        for queue in range(len(config.queues))
        for at in range(depth)
    ]
    own = {"matmul": "tensor"}.get(kind[1], kind[1])
    most = {queue: depth + 4 if queue == "tensor" else depth + 1 for queue in config.queues} | {own: 0}
    most = dict(enumerate(most[queue] for queue in config.queues))
    given = [f"(!i_give || i_remaining__{queue} <= {bound})" for queue, bound in most.items()]
    held = [f"remaining_{queue}_{at} <= {bound}" for queue, bound in most.items() for at in range(depth)]
    return Known(
        assumption=" && ".join([f"(!i_give || gold_net_o_level < {depth})", "(!i_take || gold_o_start)", *given]),
        invariant=" && ".join([f"o_level <= {depth}", *held]),
        guards=guards,
    )


MUTANTS = MutantHook(
    configs={"core": CORES["tiny"]}, modules=_modules, verilog=core_verilog, benches=_benches, known=_known
)
