"""What a regression consists of: runs of tensor engines, and among them of cores."""

from verif.core import regress as core
from verif.core.regress import CoreRun
from verif.simulation.verdicts import Verdict
from verif.tensor import regress as tensor
from verif.tensor.regress import CONFIGS, RUNS_PER_CONFIG, Run

__all__ = ["AnyRun", "draw_run", "execute"]

AnyRun = Run | CoreRun

#: Of so many configurations one is a core's: it takes about as long as the others together.
CORES_EVERY = 6


def draw_run(seed: int, index: int) -> AnyRun:
    """The run of that number in the regressions of a seed."""
    number = index // RUNS_PER_CONFIG % CONFIGS
    if number % CORES_EVERY == CORES_EVERY - 1:
        return CoreRun.draw(seed, index, number)
    return Run.draw(seed, index)


def execute(run: AnyRun, simulator: str) -> Verdict:
    """Simulate a run and compare everything with the golden model. Whatever goes wrong is the run's verdict."""
    return (core if isinstance(run, CoreRun) else tensor).execute(run, simulator)
