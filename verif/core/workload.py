"""Programs as jobs of a core: random ones, and what memory must be when they are done."""

from dataclasses import replace

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, MEMORY_BITS, Instruction
from golden.core.executor import execute
from golden.core.jobs import Job
from golden.core.races import check_races
from verif.core.programs import RandomProgram, random_program, with_waits

__all__ = ["equal_jobs", "job_of", "random_jobs", "random_programs", "result_of", "short_jobs", "window_of"]

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


def window_of(program: RandomProgram, config: CoreConfig) -> tuple[bytes, bytes]:
    """The whole window of ``job_of``: before the program, and after it by the executor."""
    job = job_of(program)
    before, after = bytes(job.contents()), bytearray(job.contents())
    start = program.base - job.base
    after[start : start + len(program.data)] = result_of(program, config).tobytes()
    return before, bytes(after)


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


def equal_jobs(config: CoreConfig, rng: np.random.Generator, count: int) -> list[Job]:
    """Random programs whose vector instructions take the lesser or larger of x and x.

    Numbers drawn apart are all but never equal, and what is made of equal ones would go unseen.
    """
    jobs = []
    for each in random_programs(config, rng, count, length=40, work=256, kinds=("dma", "vector")):
        program = [_of_equals(instruction, number) for number, instruction in enumerate(each.program)]
        jobs.append(job_of(replace(each, program=tuple(with_waits(program, config)))))
    return jobs


def _of_equals(instruction: Instruction, number: int) -> Instruction:
    """A vector instruction with x for its other operand, by turns ``min`` and ``max``; any other as it is."""
    if instruction.name != "vector" or instruction.named("x_type") == "u32":
        return instruction
    same = {f"t_{what}": instruction.fields[f"x_{what}"] for what in ("address", "stride0", "stride1", "stride2")}
    same["t_type"] = instruction.named("x_type")
    operations = {"op0": ("min", "max")[number % 2], "a_kind": "tensor", "op1": "bypass", "b_kind": "immediate"}
    return instruction.replace(**same, **operations, absolute=False)
