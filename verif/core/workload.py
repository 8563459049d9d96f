"""Programs as jobs of a core: random ones, and what memory must be when they are done."""

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES
from golden.core.executor import execute
from golden.core.jobs import Job
from golden.core.races import check_races
from verif.core.programs import RandomProgram, random_program

__all__ = ["job_of", "random_jobs", "result_of"]

#: A window of memory begins and ends at multiples of it.
_WINDOW = Job.WINDOW_BYTES


def job_of(program: RandomProgram) -> Job:
    """A program behind its data in memory."""
    end = program.base + len(program.data)
    address = -(-end // INSTRUCTION_BYTES) * INSTRUCTION_BYTES
    base = program.base // _WINDOW * _WINDOW
    size = address + INSTRUCTION_BYTES * len(program.program) - base
    return Job(
        program=program.program,
        address=address,
        image=[(program.base, program.data.tobytes())],
        base=base,
        size=-(-size // _WINDOW) * _WINDOW,
    )


def result_of(program: RandomProgram, config: CoreConfig) -> np.ndarray:
    """uint8[bytes]: what memory is from ``program.base`` on, by the executor; ValueError if the waits leave a race."""
    check_races(program.program, config)
    memory = program.memory()
    execute(program.program, memory, config)
    return memory.data


def random_jobs(config: CoreConfig, rng: np.random.Generator, count: int, **kinds: object) -> list[Job]:
    """Random programs, as ``random_program`` makes them with ``kinds``."""
    seeds = (int(rng.integers(1 << 31)) for _ in range(count))
    return [job_of(random_program(config, seed, indirect=False, **kinds)) for seed in seeds]
