"""Which instruction a signal of the core works on, by the cycles in which queues start and complete them."""

from collections.abc import Callable, Iterator

import numpy as np

from arch.core.instructions import Instruction
from arch.core.program import label
from verif.simulation.window import Moment, event_name

__all__ = ["MARKS", "at_head", "dispatched", "in_hand", "moving", "of_memory"]

#: Entries whose events are counted.
MARKS = ("dispatched", "starts", "completes")
_TENSOR = 0


def _instructions(at: Moment, queue: int | None = None) -> Iterator[tuple[int, Instruction]]:
    """Those of all jobs, or of a queue of them, each with its number in its program.

    Programs follow each other: the first starts of a queue are of the first program.
    """
    name = None if queue is None else at.config.queues[queue]
    for job in at.window.jobs:
        # What is no instruction goes to no queue.
        given = [(k, each) for k, each in enumerate(job.program) if isinstance(each, Instruction)]
        yield from ((k, each) for k, each in given if name in (None, each.queue_name))


def _before(at: Moment, name: str, row: int | None = None) -> int:
    """Events before this cycle."""
    return int(np.searchsorted(at.window.events[event_name(name, row)], at.cycle))


def _text(at: Moment, index: int, queue: int | None = None) -> str:
    found = [*_instructions(at, queue)]
    return label(*found[index]) if index < len(found) else ""


def in_hand(queue: Callable[[Moment], int]) -> Callable[[Moment], str]:
    """What the queue of a signal took last, unless that is complete."""

    def term(at: Moment) -> str:
        number = queue(at)
        started, complete = (_before(at, name, number) for name in ("starts", "completes"))
        return _text(at, started - 1, number) if started > complete else ""

    return term


def moving(at: Moment) -> str:
    """The matmul whose moving operand is read: it is complete with that, and the next may have been taken before."""
    started, complete = (_before(at, name, _TENSOR) for name in ("starts", "completes"))
    return _text(at, complete, _TENSOR) if started > complete else ""


def at_head(at: Moment) -> str:
    """What the queue of that row starts next."""
    return _text(at, _before(at, "starts", at.row), at.row)


def dispatched(at: Moment) -> str:
    """What is dispatched next."""
    return _text(at, _before(at, "dispatched"))


def of_memory(at: Moment) -> str:
    """What DMA queues do; while they do nothing, what is fetched."""
    queues = (number for number, name in enumerate(at.config.queues) if name.startswith("dma"))
    found = [text for number in queues if (text := in_hand(lambda _, number=number: number)(at))]
    return "; ".join(found) or dispatched(at)
