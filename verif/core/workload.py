"""Programs as jobs of a core: random ones, and what memory must be when they are done."""

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, MEMORY_BITS
from golden.core.executor import execute
from golden.core.jobs import Job
from golden.core.races import check_races
from verif.core.programs import RandomProgram, random_program

__all__ = ["job_of", "random_jobs", "random_programs", "result_of", "short_jobs"]

#: A window of memory begins and ends at multiples of it.
_WINDOW = Job.WINDOW_BYTES
#: Where memory may begin, in windows: a MiB is left for the program and what it works on.
_BASES = ((1 << MEMORY_BITS) - (1 << 20)) // _WINDOW


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


def random_programs(config: CoreConfig, rng: np.random.Generator, count: int, **options: object) -> list[RandomProgram]:
    """Random programs, as ``random_program`` makes them with ``options``, anywhere in memory."""
    drawn = [(int(rng.integers(1 << 31)), _WINDOW * int(rng.integers(_BASES))) for _ in range(count)]
    return [random_program(config, seed, base=base, **options) for seed, base in drawn]


def random_jobs(config: CoreConfig, rng: np.random.Generator, count: int, **options: object) -> list[Job]:
    """The same as jobs."""
    return [job_of(program) for program in random_programs(config, rng, count, **options)]


def short_jobs(config: CoreConfig, rng: np.random.Generator, count: int) -> list[Job]:
    """Random programs of a few hundred cycles."""
    return random_jobs(config, rng, count, length=8, work=128)
