"""What tests of derived waits use."""

from collections.abc import Sequence

from arch.core.config import CoreConfig
from arch.core.instructions import QUEUES, Instruction
from golden.core.races import check_races

__all__ = ["superfluous"]


def superfluous(program: Sequence[Instruction], config: CoreConfig) -> tuple[int, list[str]]:
    """How many waits a program has, and those of them that the race check does not miss when they are left out."""
    count, found = 0, []
    for number, instruction in enumerate(program):
        for queue in QUEUES:
            if not instruction.wait(queue):
                continue
            count += 1
            without = [*program[:number], instruction.replace(**{f"wait_{queue}": 0}), *program[number + 1 :]]
            try:
                check_races(without, config)
            except ValueError as error:
                assert "must wait for" in str(error)
            else:
                found.append(f"{number}: wait_{queue}")
    return count, found
