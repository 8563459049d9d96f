"""Random programs with a fault in each: most of them stop the core."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from arch.core.accesses import accesses
from arch.core.config import CoreConfig
from arch.core.instructions import ADDRESS_BITS, INSTRUCTION_BYTES, Instruction, decode, encode, instruction_layout
from arch.core.layouts import PAGE_BYTES
from arch.core.rules import check_fields, is_legal
from golden.core.jobs import Job
from verif.core.programs import RandomProgram, random_program

__all__ = ["FAULTS", "faulty_job"]

#: Instructions of a program, at least, and bytes of a lane that they work on.
LENGTH, WORK = 10, 64
#: Cycles that a program may take whose fault may be that it does not end.
LIMIT = 6000
#: Draws of a change before one must have been legal.
ATTEMPTS = 1000


def faulty_job(config: CoreConfig, rng: np.random.Generator, fault: str) -> Job:
    """A random program in low memory, with one of ``FAULTS``.

    One in four has a second fault, of any kind.
    """
    case = random_program(config, int(rng.integers(1 << 31)), length=LENGTH, work=WORK)
    job = _FAULTS[fault](_low(case), case, config, rng)
    if rng.random() < 0.25:
        job = _FAULTS[FAULTS[rng.integers(len(FAULTS))]](job, case, config, rng)
    return job


def _low(case: RandomProgram) -> Job:
    """The program behind its data; its pages are all that there is."""
    end = case.base + len(case.data)
    address = -(-end // INSTRUCTION_BYTES) * INSTRUCTION_BYTES
    size = -(-(address + INSTRUCTION_BYTES * len(case.program)) // PAGE_BYTES) * PAGE_BYTES
    image = [(case.base, case.data.tobytes())]
    return Job(program=case.program, address=address, image=image, size=size, limit=LIMIT)


def _with(job: Job, number: int, code: bytes) -> Job:
    """The job with another instruction there: as one if these bytes are one."""
    try:
        changed = decode(code)
    except ValueError:
        changed = code
    return replace(job, program=[*job.program[:number], changed, *job.program[number + 1 :]])


def _flipped(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """A bit of an instruction is another one: mostly of its fields."""
    number = int(rng.integers(len(case.program)))
    bits = 8 * INSTRUCTION_BYTES if rng.random() < 0.1 else instruction_layout(case.program[number].name).width
    code = bytearray(job.codes[number])
    bit = int(rng.integers(bits))
    code[bit // 8] ^= 1 << bit % 8
    return _with(job, number, bytes(code))


def _illegal(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """A bit, by which an instruction breaks a rule that a core checks."""
    for _ in range(ATTEMPTS):
        changed = _flipped(job, case, config, rng)
        if not all(is_legal(each, config) for each in changed.program):
            return changed
    raise RuntimeError(f"no illegal instruction in {ATTEMPTS} draws")


def _changed(job: Job, config: CoreConfig, rng: np.random.Generator, draw: Callable[[Instruction], dict | None]) -> Job:
    """Fields of an instruction have other values, such that the core lets it go to its queue; as it was if none may."""
    given = [(number, each) for number, each in enumerate(job.program) if isinstance(each, Instruction)]
    names = sorted({each.name for _, each in given})
    for _ in range(ATTEMPTS):
        # Each kind as often: a program has more DMAs than all else.
        name = names[rng.integers(len(names))]
        some = [(number, each) for number, each in given if each.name == name]
        number, instruction = some[rng.integers(len(some))]
        values = draw(instruction)
        if values is None:
            continue
        try:
            changed = instruction.replace(**values)
            check_fields(changed, config)
        except ValueError:
            continue
        return _with(job, number, encode(changed))
    return job


def _outside_sbuf(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """Something lies, or walks, out of SBUF: a little or far, below 0 or above."""

    def draw(instruction: Instruction) -> dict | None:
        operands = [access.operand for access in accesses(instruction, config) if access.space == "sbuf"]
        if not operands:
            return None
        operand = operands[rng.integers(len(operands))]
        strides = [name for name in instruction.fields if name.startswith(f"{operand}_") and "stride" in name]
        address = operand if operand in instruction.fields else f"{operand}_address"
        field = strides[rng.integers(len(strides))] if strides and rng.random() < 0.5 else address
        if "stride" in field:
            return {field: int(rng.choice((-4, -1024, -(1 << ADDRESS_BITS - 1), config.lane_bytes // 2, 1 << 16)))}
        most = 1 << ADDRESS_BITS
        above = 4 * rng.integers(min(config.lane_bytes, most - 4) // 4, most // 4)
        return {field: int(rng.choice((config.lane_bytes - 4, most - 4, above)))}

    return _changed(job, config, rng, draw)


def _outside_memory(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """A side of a dma is not in the program's pages, or walks out of them."""

    def draw(instruction: Instruction) -> dict | None:
        side = ("source", "sink")[rng.integers(2)]
        if instruction.name != "dma" or instruction.named(f"{side}_space") != "memory":
            return None
        field = f"{side}_{('address', 'pitch', 'stride')[rng.integers(3)]}"
        if field.endswith("address"):
            return {field: int(rng.choice((job.size, job.size - 4, 1 << 39, (1 << 40) - 4)))}
        return {field: int(rng.choice((-(1 << 31), -4 * PAGE_BYTES, PAGE_BYTES, 1 << 30)))}

    return _changed(job, config, rng, draw)


def _fewer_pages(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """The program ends, or begins, outside of its pages."""
    fewer = int(rng.integers(job.pages)) if job.pages and rng.random() < 0.2 else max(0, job.pages - 1)
    return replace(job, pages=fewer)


def _bad_index(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """An index is out of range; of a program without, another dma becomes indirect."""

    def draw(instruction: Instruction) -> dict | None:
        if instruction.name != "dma":
            return None
        values = {"out_of_range": "error", "index_limit": int(rng.integers(1, 2 * config.lanes))}
        if instruction.named("indirect") == "none":
            side = ("source", "sink")[rng.integers(2)]
            values |= {"indirect": side, "index_address": case.program[0].sink_address}
        return values

    return _changed(job, config, rng, draw)


def _reads(case: RandomProgram, config: CoreConfig) -> int:
    """Beats that a program reads, by the least: what it begins by loading, and itself."""
    return config.lanes * WORK // config.beat_bytes + len(case.program)


def _bad_read(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """A beat that is read has a response that is an error."""
    return replace(job, responses=[0] * int(rng.integers(_reads(case, config))) + [int(rng.integers(1, 4))])


def _bad_write(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """A burst that is written has: at the latest of those that a program ends with."""
    bursts = max(1, config.lanes * WORK // max(64, config.beat_bytes))
    return replace(job, answers=[0] * int(rng.integers(bursts)) + [int(rng.integers(1, 4))])


def _too_long(job: Job, case: RandomProgram, config: CoreConfig, rng: np.random.Generator) -> Job:
    """The program takes longer than it may: a beat is read in a cycle at most."""
    return replace(job, limit=int(rng.integers(1, 1 + _reads(case, config))))


_FAULTS: dict[str, Callable[[Job, RandomProgram, CoreConfig, np.random.Generator], Job]] = {
    "bit": _flipped,
    "illegal": _illegal,
    "sbuf": _outside_sbuf,
    "memory": _outside_memory,
    "pages": _fewer_pages,
    "index": _bad_index,
    "read": _bad_read,
    "write": _bad_write,
    "limit": _too_long,
}
#: What may be wrong with a program, or with how memory serves it.
FAULTS = tuple(_FAULTS)
