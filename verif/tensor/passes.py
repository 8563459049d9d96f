"""Random passes and resets through the simulated RTL, every cycle compared with the golden model."""

from collections.abc import Callable, Sequence

import numpy as np

from verif.simulation.replay import ReplayResult, replay
from verif.simulation.simulate import build_unit
from verif.simulation.unit import Unit
from verif.tensor.workload.session import Stretch, session

__all__ = ["difference_lines", "run_passes"]


def run_passes(
    unit: Unit,
    rng: np.random.Generator,
    stretches: Sequence[Stretch],
    *,
    simulator: str = "verilator",
    rewrite: Callable[[str], str] | None = None,
) -> ReplayResult:
    """A session through a tensor engine; registers are compared where the unit's record holds them."""
    simulation = build_unit(unit, simulator=simulator, resets=True, rewrite=rewrite)
    return replay(simulation, session(unit.config, rng, stretches, registers=not unit.note))


def difference_lines(unit: Unit, outcome: ReplayResult) -> list[str]:
    """Why a session failed, a line each; empty if it passed."""
    if not outcome.mismatches:
        return [] if outcome.passed else [str(outcome.failure)]
    (mismatch,) = outcome.mismatches
    differing = sorted(mismatch.fields, key=lambda item: unit.order(item[0]))
    lines = [f"passes with resets: RTL and golden model differ first in cycle {mismatch.cycle}"]
    for field, expected, actual in differing:
        shown = actual if isinstance(actual, str) else f"{actual:#x}"
        lines.append(f"  {unit.place(field)}: expected {expected:#x}, actual {shown}")
    return lines
