"""Programs through RTL and golden model, and what they leave in memory."""

from collections.abc import Callable, Sequence

from arch.core.config import CoreConfig
from golden.core.jobs import Job
from verif.core.programs import RandomProgram
from verif.core.stops import run_with_resets
from verif.core.unit import watched_unit
from verif.core.workload import job_of, result_of, window_of
from verif.simulation.simulate import UnitRun, simulate_unit

__all__ = ["run_interrupted", "run_programs"]


def run_programs(
    config: CoreConfig,
    programs: Sequence[RandomProgram],
    *,
    simulator: str,
    pace: dict,
    rewrite: Callable[[str], str] | None = None,
) -> UnitRun:
    """One after another; it is a failure, too, if the memory that the last leaves is not the executor's.

    ``pace``, ``rewrite``: as ``simulate_unit`` takes them.
    """
    (unit, cores), jobs = watched_unit(config), [job_of(program) for program in programs]
    run = simulate_unit(unit, jobs, simulator=simulator, pace=pace, rewrite=rewrite)
    if not run.mismatches:
        last = programs[-1]
        start = last.base - jobs[-1].base
        wrong = cores[0].memory[start : start + len(last.data)] != result_of(last, config)
        if wrong.any():
            first = last.base + int(wrong.argmax())
            run.failures.append(f"{wrong.sum()} bytes of memory are not the executor's, the first at {first:#x}")
    return run


def run_interrupted(
    config: CoreConfig,
    programs: Sequence[RandomProgram],
    cuts: Sequence[int],
    others: Sequence[Job] = (),
    *,
    simulator: str,
    pace: dict,
    rewrite: Callable[[str], str] | None = None,
) -> UnitRun:
    """Each program until a reset in its midst, then from its start to its end; then other jobs. A reset behind each.

    It is a failure, too, if the memory that a program leaves is not the executor's.

    Parameters
    ----------
    cuts : sequence of int
        For each program, the cycles after which the reset comes, 1 or more; at its end if that is before.
    others : sequence of Job
        They may stop the core.
    """
    jobs = [job for program in programs for job in 2 * [job_of(program)]]
    return run_with_resets(
        config,
        [*jobs, *others],
        cuts={2 * number: cut for number, cut in enumerate(cuts)},
        results={2 * number + 1: window_of(program, config)[1] for number, program in enumerate(programs)},
        simulator=simulator,
        pace=pace,
        rewrite=rewrite,
    )
