"""What makes a program legal in a core: each of its instructions, and how they follow each other."""

from collections.abc import Sequence
from math import prod

from arch.core.config import CoreConfig
from arch.core.instructions import QUEUES, Instruction, disassemble
from arch.core.rules import check_instruction

__all__ = ["check_instruction", "check_program", "label", "psum_rows"]


def label(number: int, instruction: Instruction) -> str:
    """How messages name an instruction of a program."""
    return f"instruction {number} ({disassemble(instruction)})"


def psum_rows(instruction: Instruction) -> int:
    """Rows that an instruction adds to PSUM; below 0, those that it takes."""
    counts = prod(instruction.fields[f"count{dim}"] for dim in range(3) if f"count{dim}" in instruction.fields)
    if instruction.name == "matmul":
        return counts
    if instruction.name in ("vector", "scalar") and instruction.named("x_source") == "psum":
        return -counts
    return 0


def check_program(program: Sequence[Instruction], config: CoreConfig) -> None:
    """Raise ValueError unless a program is legal: the instruction's number and text, the rule, and the value.

    Beyond what makes each instruction legal, a wait names an instruction that there is; and in the program's order PSUM
    never holds more rows than it has, has what an instruction takes from it, and is empty at the end. That accesses are
    in order is for ``golden.check_races``.
    """
    before = dict.fromkeys(QUEUES, 0)
    rows = 0
    for number, instruction in enumerate(program):
        try:
            check_instruction(instruction, config)
            _check_waits(instruction, before)
            rows += _checked_rows(instruction, rows, config)
        except ValueError as error:
            raise ValueError(f"{label(number, instruction)}: {error}") from None
        before[instruction.queue_name] += 1
    if rows:
        raise ValueError(f"a program must take all rows of PSUM, not leave {rows}")


def _check_waits(instruction: Instruction, before: dict[str, int]) -> None:
    for queue, count in before.items():
        back = instruction.wait(queue)
        if back > count:
            raise ValueError(f"wait_{queue} must be at most {count}, the instructions of {queue} before, not {back}")


def _checked_rows(instruction: Instruction, held: int, config: CoreConfig) -> int:
    """The rows that an instruction adds to PSUM, which holds some."""
    change, depth = psum_rows(instruction), config.engine.psum_depth
    if held + change > depth:
        raise ValueError(f"rows of PSUM that nobody took must be at most {depth}, not {held + change}")
    if held + change < 0:
        raise ValueError(f"rows taken from PSUM must be at most the {held} that it holds, not {-change}")
    return change
