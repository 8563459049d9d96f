"""How the core takes part in the coverage measurement: random programs at several paces of memory."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from golden.core.jobs import Job
from verif.core.coverage.plan import plan
from verif.core.coverage.sampling import CoreSampler
from verif.core.faults import FAULTS, faulty_job
from verif.core.stops import run_with_resets
from verif.core.unit import core_unit
from verif.core.workload import random_jobs
from verif.coverage.hook import CoverageHook, CoverageRun, Measured
from verif.simulation.simulate import simulate_unit

__all__ = ["COVERAGE", "faulty_stimulus", "stimuli"]

#: By the name in reports, which no other unit has.
CONFIGS = {"core": CORES["tiny"]}
#: Paces of memory.
PACES = {
    "fast": {},
    "random": {"latency": 8, "idle": 0.3, "stall": 0.4},
    "slow": {"latency": 50, "idle": (0, 0.5, 0.5), "stall": 0.7},
}
#: Programs at each pace.
PROGRAMS = 40
#: Programs of each fault.
FAULTY = 30


def stimuli(config: CoreConfig, seed: int) -> Iterator[tuple[str, Sequence[Job], dict]]:
    """Of each run: its name, its jobs, and how memory answers."""
    for number, (name, pace) in enumerate(PACES.items()):
        rng = np.random.default_rng([seed, number])
        yield name, random_jobs(config, rng, PROGRAMS, length=40, work=512), pace | {"seed": seed}


def faulty_stimulus(config: CoreConfig, seed: int) -> tuple[Sequence[Job], dict]:
    """Programs that stop the core, and how memory answers."""
    rng = np.random.default_rng([seed, len(PACES)])
    return [faulty_job(config, rng, fault) for fault in FAULTS * FAULTY], PACES["random"] | {"seed": seed}


def _measure_faulty(config: CoreConfig, seed: int) -> Measured:
    sampler = CoreSampler(config)
    jobs, pace = faulty_stimulus(config, seed)
    return Measured.of(run_with_resets(config, jobs, pace=pace, observe=sampler.see), sampler)


def _measure(config: CoreConfig, jobs: Sequence[Job], pace: dict) -> Measured:
    sampler = CoreSampler(config)
    return Measured.of(simulate_unit(core_unit(config), jobs, pace=pace, observe=sampler.see), sampler)


def _runs(name: str, seed: int) -> Iterator[CoverageRun]:
    config = CONFIGS[name]
    for run, jobs, pace in stimuli(config, seed):
        yield CoverageRun(run, partial(_measure, config, jobs, pace))
    yield CoverageRun("faulty", partial(_measure_faulty, config, seed))


COVERAGE = CoverageHook(names=tuple(CONFIGS), plan=lambda name: plan(CONFIGS[name]), runs=_runs)
