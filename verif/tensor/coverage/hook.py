"""How the tensor engine takes part in the coverage measurement: the GEMMs that reach every bin of its plan."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from golden.tensor.jobs import Gemm
from hw.tensor.verilog import engine_verilog
from verif.coverage.hook import CoverageHook, CoverageRun, Measured
from verif.coverage.points import Hits, Point
from verif.tensor.coverage.directed import busy_jobs, directed_jobs, ring_jobs
from verif.tensor.coverage.plan import WAIVERS, plan
from verif.tensor.coverage.sampling import Sampler
from verif.tensor.engine import simulate
from verif.tensor.interactive.resets import RESET_POINTS, sample_resets
from verif.tensor.interactive.run import run_interactive
from verif.tensor.workload.gemms import ragged_gemms

__all__ = ["COVERAGE", "PacedGemms", "count_lines", "stimuli"]

#: Presets small enough to be simulated with every register compared.
SAMPLED = ("tiny", "fp8", "bf16")
#: Resets in mid-run, which golden traces do not hold, are those of the interactive benches. They
#: take their time: one preset.
INTERACTIVE, RESET_PRESET = "interactive", "tiny"
#: Rows and columns of the arrays whose lines are counted. The modules are those of the preset but for the number of
#: lanes, and a build that counts what happens in 256 PEs takes minutes.
LINE_ARRAY = 4


@dataclass(frozen=True)
class PacedGemms:
    """GEMMs at one pace."""

    name: str
    jobs: Sequence[Gemm]
    idle: float = 0.0
    stall: float = 0.0


def stimuli(name: str, seed: int) -> Iterator[PacedGemms]:
    """What hits the bins of a preset."""
    config = PRESETS[name]
    rng = np.random.default_rng([seed, SAMPLED.index(name)])
    yield PacedGemms("directed", directed_jobs(config))
    # A stall this long fills PSUM.
    yield PacedGemms("PSUM ring", ring_jobs(config), stall=0.9)
    yield PacedGemms("random", ragged_gemms(config, rng)[:100], idle=0.5, stall=0.5)
    # So many that the rarest of their bins, about one in a hundred passes, is hit some twenty times.
    yield PacedGemms("busy", 4 * busy_jobs(config), idle=0.5, stall=0.5)
    yield PacedGemms("slow", [*ragged_gemms(config, rng)[:20], *busy_jobs(config)], idle=0.9, stall=0.9)


def _runs(name: str, seed: int) -> Iterator[CoverageRun]:
    if name == INTERACTIVE:
        yield CoverageRun("resets", partial(_reset, seed))
        return
    config = PRESETS[name]
    for stimulus in stimuli(name, seed):
        yield CoverageRun(stimulus.name, partial(_sample, config, stimulus, seed))
    small = replace(config, rows=LINE_ARRAY, cols=LINE_ARRAY)
    yield CoverageRun("lines and toggles", partial(count_lines, small, seed))


def _sample(config: EngineConfig, stimulus: PacedGemms, seed: int) -> Measured:
    sampler = Sampler(config)
    pace = {"seed": seed, "idle": stimulus.idle, "stall": stimulus.stall}
    return Measured.of(simulate(config, stimulus.jobs, observe=sampler.see, **pace), sampler)


def count_lines(config: EngineConfig, seed: int) -> Measured:
    """On a build that counts: PSUM's ring goes round, and GEMMs of all sizes, formats and kinds of operands."""
    rng = np.random.default_rng([seed, config.rows])
    jobs = [*ring_jobs(config)[2:-1], *ragged_gemms(config, rng)]
    run = simulate(config, jobs, seed=seed, idle=0.3, stall=0.3, coverage=True)
    return Measured.of(run, verilog=engine_verilog(config))


def _reset(seed: int) -> Measured:
    # Its lines go where the progress goes.
    with redirect_stdout(sys.stderr):
        run = run_interactive(PRESETS[RESET_PRESET], seed=seed)
    hits = Hits(RESET_POINTS)
    sample_resets(run.resets, hits)
    return Measured(failures=[f"{name}: {run.failures[name]}" for name in run.failed], hits=hits)


def _plan(name: str) -> Sequence[Point]:
    return RESET_POINTS if name == INTERACTIVE else plan(PRESETS[name])


COVERAGE = CoverageHook(names=(*SAMPLED, INTERACTIVE), plan=_plan, runs=_runs, waivers=WAIVERS)
