"""Programs through RTL and golden model, and what they leave in memory."""

from collections.abc import Callable, Sequence

from arch.core.config import CoreConfig
from verif.core.programs import RandomProgram
from verif.core.unit import watched_unit
from verif.core.workload import job_of, result_of
from verif.simulation.simulate import UnitRun, simulate_unit

__all__ = ["run_programs"]


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
