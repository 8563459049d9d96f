"""Programs that may stop the core, one after another with a reset between, through RTL and golden model."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from arch.core.config import CoreConfig
from golden.core.jobs import Job
from golden.core.model import Core
from verif.core.unit import core_unit
from verif.simulation.replay import replay
from verif.simulation.rerun import differences
from verif.simulation.simulate import UnitRun, build_unit

__all__ = ["run_faulty", "stretches"]

#: Cycles that a core is watched behind a program's end: what is in it goes on as far as it can.
AFTER = 64


def stretches(config: CoreConfig, jobs: Sequence[Job], **pace: object) -> Iterator[tuple[np.ndarray, Core]]:
    """Of each job in turn its records, a reset in the last of them, and the model as it was before that.

    The first word of a record is ``verif.simulation.harness.RESET``.
    """
    core = Core(config)
    for job in jobs:
        core.offer(job)
        ran = _run(core, pace)
        reset = np.zeros((len(ran), 1), np.uint32)
        reset[-1] = 1
        yield np.concatenate([reset, ran], axis=1), core
        core.reset()


def _run(core: Core, pace: dict) -> np.ndarray:
    """The records of a program, and of some cycles behind it."""
    pieces = []
    while not core.done:
        pieces.append(core.run(1024, until_done=True, **pace))
    return np.concatenate([*pieces, core.run(AFTER, **pace)])


def run_faulty(
    config: CoreConfig,
    jobs: Sequence[Job],
    *,
    simulator: str = "verilator",
    pace: dict | None = None,
    rewrite: Callable[[str], str] | None = None,
    observe: Callable[[np.ndarray], None] | None = None,
) -> UnitRun:
    """Compare every cycle. ``rewrite``: as ``simulate_unit`` takes it; ``observe``: shown the records of each job."""
    unit, starts = core_unit(config), [0]

    def chunks() -> Iterator[np.ndarray]:
        for records, _ in stretches(config, jobs, **(pace or {})):
            starts.append(starts[-1] + len(records))
            if observe:
                observe(records[:, 1:])
            yield records

    outcome = replay(build_unit(unit, simulator=simulator, resets=True, rewrite=rewrite), chunks())
    run = UnitRun(
        compared_cycles=outcome.compared_cycles,
        compared_signals=sum(not field.drive for field in unit.record.fields),
    )
    for mismatch in outcome.mismatches:
        number = int(np.searchsorted(starts, mismatch.cycle, "right")) - 1
        cycle = f"cycle {mismatch.cycle - starts[number]} of program {number}"
        run.failures.append(f"RTL and golden model differ first in {cycle}, {jobs[number]}")
        for each in differences(unit, mismatch.fields):
            actual = each.actual if isinstance(each.actual, str) else f"{each.actual:#x}"
            run.failures.append(f"{each.place}: expected {each.expected:#x}, actual {actual}")
    if not outcome.passed and not outcome.mismatches:
        run.failures.append(outcome.failure)
    return run
