"""Whether the waits of a program put its accesses in order: vector clocks, from the waits alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from arch.core.accesses import Access, accesses, conflict
from arch.core.config import CoreConfig
from arch.core.instructions import WAIT_MAX, Instruction
from arch.core.program import check_program, label, psum_rows

__all__ = ["check_races"]


@dataclass(frozen=True)
class _Step:
    """An instruction as the check sees it.

    done : of each queue, how many of its instructions are complete when this one starts, at least
    takes_psum : whether it takes rows of PSUM
    """

    number: int
    instruction: Instruction
    places: tuple[Access, ...]
    done: dict[str, int]
    takes_psum: bool


def check_races(program: Sequence[Instruction], config: CoreConfig) -> None:
    """Raise ValueError unless any timing of a program gives the same bits.

    Two instructions are in order if the first is complete before the second starts: they are of one queue; or the
    second waits for the first, or for one that is in order with it; or at least ``WAIT_MAX`` more of the first one's
    queue lie between, more than that queue holds. Two accesses to a byte, one of which writes it, must be in order, and
    so must two instructions that take rows of PSUM. Each row is taken after it is there without a wait.

    Parameters
    ----------
    program : sequence of Instruction
    config : CoreConfig

    Raises
    ------
    ValueError
        If the program is not legal in this core, or for the first instruction that is not in order with an earlier one:
        both numbers, both texts, and what they have in common.
    """
    check_program(program, config)
    queues: dict[str, list[_Step]] = {queue: [] for queue in config.queues}
    for number, instruction in enumerate(program):
        before = {queue: len(steps) for queue, steps in queues.items()}
        done = _complete(instruction, queues, before)
        step = _Step(number, instruction, accesses(instruction, config), done, psum_rows(instruction) < 0)
        for queue, steps in queues.items():
            for other in steps[done[queue] :]:
                if reason := next(_conflicts(other, step), None):
                    first, second = (label(one.number, one.instruction) for one in (other, step))
                    raise ValueError(f"{second} must wait for {first}: {reason}")
        queues[instruction.queue_name].append(step)


def _complete(instruction: Instruction, queues: dict[str, list[_Step]], before: dict[str, int]) -> dict[str, int]:
    """Of each queue, how many instructions are complete when this one starts."""
    reached = {queue: max(0, count - WAIT_MAX) for queue, count in before.items()}
    reached[instruction.queue_name] = before[instruction.queue_name]
    for queue in queues:
        if back := instruction.wait(queue):
            reached[queue] = max(reached[queue], before[queue] - back + 1)
    done = dict(reached)
    for queue, count in reached.items():
        if count:
            # What was complete when the last of these started.
            for other, earlier in queues[queue][count - 1].done.items():
                done[other] = max(done[other], earlier)
    return done


def _conflicts(first: _Step, second: _Step) -> Iterator[str]:
    """What two instructions have in common that needs an order."""
    if first.takes_psum and second.takes_psum:
        yield "both take rows of PSUM"
    for a in first.places:
        for b in second.places:
            # Most lie far apart: that is asked first.
            if a.first <= b.last and b.first <= a.last and conflict(a, b):
                yield f"its {b.operand} overlaps {a.operand} in {'SBUF' if a.space == 'sbuf' else 'memory'}"
