"""Runs matrix products on the golden model or on the simulated RTL, with a bar where that takes long."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from arch.tensor.config import EngineConfig
from golden.numerics.panels import BLOCK_M
from golden.tensor.jobs import Gemm, golden_result
from golden.tensor.schedule import gemm_cycles, readout_cycles
from scripts.ground.progress import progress_bar

if TYPE_CHECKING:
    from verif.tensor.engine import EngineRun

__all__ = ["computing", "golden_results", "simulate_jobs", "waves_folder"]

#: Products that the golden model takes about a second for; more get a progress bar.
LONG = 1 << 35
#: Rows it computes between two movements of the bar: as many as it takes at a time anyway.
ROWS = BLOCK_M


@contextmanager
def computing(products: int) -> Iterator[Callable[[int], None]]:
    """A bar for the golden model; the function it gives is told how many products were computed."""
    with progress_bar(disable=products < LONG) as progress:
        task = progress.add_task("computing, million products", total=products / 1e6)
        yield lambda count: progress.advance(task, count / 1e6)


def golden_results(jobs: Sequence[Gemm], config: EngineConfig) -> Iterator[np.ndarray]:
    """``golden_result`` of each job, made some rows at a time so that a bar can move."""
    with computing(sum(prod(job.shape) for job in jobs)) as advance:
        for job in jobs:
            m, _, n = job.shape
            result = np.empty((m, n), np.uint32)
            for start in range(0, m, ROWS):
                part = replace(job, x=job.x[start : start + ROWS])
                result[start : start + ROWS] = golden_result(part, config)
                advance(prod(part.shape))
            yield result


def simulate_jobs(jobs: Sequence[Gemm], config: EngineConfig) -> "EngineRun":
    # The simulator is loaded where it is used: a golden product does without.
    from verif.tensor.engine import simulate

    total = sum(gemm_cycles(*job.shape, config) + readout_cycles(*job.shape, config) for job in jobs)
    with progress_bar() as progress:
        task = progress.add_task("building the simulation", total=None)

        def advance(cycles: int) -> None:
            progress.update(task, description="simulating, cycles", total=total, completed=min(cycles, total))

        return simulate(config, jobs, progress=advance, waves_folder=waves_folder)


def waves_folder() -> Path:
    """Where waveforms of divergences go; says that they are being made, which takes a build and a run."""
    from verif.simulation.waves import FOLDER

    print("RTL and golden model differ: building the waveform variant", file=sys.stderr, flush=True)
    return FOLDER
