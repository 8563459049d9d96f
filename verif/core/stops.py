"""Programs that a reset ends, for they may stop the core or are cut short by it, through RTL and golden model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from arch.core.config import CoreConfig
from golden.core.jobs import Job
from golden.core.model import Core
from verif.core.unit import core_unit
from verif.simulation.replay import replay
from verif.simulation.rerun import differences
from verif.simulation.simulate import UnitRun, build_unit

__all__ = ["run_with_resets", "stretches"]

#: Cycles that a core is watched behind a program's end: what is in it goes on as far as it can.
AFTER = 64
_NONE: Mapping = MappingProxyType({})


def stretches(
    config: CoreConfig,
    jobs: Sequence[Job],
    cuts: Mapping[int, int] = _NONE,
    paces: Sequence[Mapping] = (),
    **pace: object,
) -> Iterator[tuple[np.ndarray, Core]]:
    """Of each job in turn its records, a reset in the last of them, and the model as it was before that.

    ``cuts``: numbers of jobs, and after how many cycles of each the reset comes, 1 or more, if it has not ended before.
    ``paces``: of each job, if they are not all at one, ``pace``.
    The first word of a record is ``verif.simulation.harness.RESET``.
    """
    core = Core(config)
    for number, job in enumerate(jobs):
        core.offer(job)
        own = paces[number] if paces else pace
        ran = core.run(cuts[number], until_done=True, **own) if number in cuts else _run(core, own)
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


def run_with_resets(
    config: CoreConfig,
    jobs: Sequence[Job],
    *,
    simulator: str = "verilator",
    cuts: Mapping[int, int] = _NONE,
    results: Mapping[int, bytes] = _NONE,
    pace: dict | None = None,
    rewrite: Callable[[str], str] | None = None,
    observe: Callable[[np.ndarray], None] | None = None,
) -> UnitRun:
    """Compare every cycle of the jobs, a reset behind each.

    Parameters
    ----------
    cuts : mapping of int to int
        As ``stretches`` takes it.
    results : mapping of int to bytes
        Numbers of jobs, and what the window of memory must be when each has ended.
    rewrite, observe : callable
        As ``simulate_unit`` takes it; shown the records of each job.
    """
    unit, starts, failures = core_unit(config), [0], []

    def chunks() -> Iterator[np.ndarray]:
        for number, (records, core) in enumerate(stretches(config, jobs, cuts, **(pace or {}))):
            starts.append(starts[-1] + len(records))
            if number in results and core.memory.tobytes() != results[number]:
                failures.append(f"memory behind program {number}, {jobs[number]}, is not what it must be")
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
    run.failures += failures
    return run
