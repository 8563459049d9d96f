"""How the core takes part in the coverage measurement: random programs at several paces of memory."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from golden.core.jobs import Job
from verif.core.coverage.plan import plan
from verif.core.coverage.sampling import CoreSampler
from verif.core.unit import core_unit
from verif.core.workload import random_jobs
from verif.coverage.hook import CoverageHook, CoverageRun, Measured
from verif.simulation.simulate import simulate_unit

__all__ = ["COVERAGE", "stimuli"]

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


def stimuli(config: CoreConfig, seed: int) -> Iterator[tuple[str, Sequence[Job], dict]]:
    """Of each run: its name, its jobs, and how memory answers."""
    for number, (name, pace) in enumerate(PACES.items()):
        rng = np.random.default_rng([seed, number])
        yield name, random_jobs(config, rng, PROGRAMS, length=40, work=512), pace | {"seed": seed}


def _measure(config: CoreConfig, jobs: Sequence[Job], pace: dict) -> Measured:
    sampler = CoreSampler(config)
    return Measured.of(simulate_unit(core_unit(config), jobs, pace=pace, observe=sampler.see), sampler)


def _runs(name: str, seed: int) -> Iterator[CoverageRun]:
    config = CONFIGS[name]
    for run, jobs, pace in stimuli(config, seed):
        yield CoverageRun(run, partial(_measure, config, jobs, pace))


COVERAGE = CoverageHook(names=tuple(CONFIGS), plan=lambda name: plan(CONFIGS[name]), runs=_runs)
