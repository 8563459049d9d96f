"""What an instruction must wait for: the waits that follow from the bytes that instructions touch."""

from dataclasses import dataclass

from arch.core.accesses import Access, accesses, overlap
from arch.core.config import CoreConfig
from arch.core.instructions import WAIT_MAX, Instruction
from arch.core.program import psum_rows

__all__ = ["Waits"]


@dataclass(frozen=True)
class _Issued:
    """An instruction so far: its number in its queue, and what is complete when it is."""

    queue: str
    number: int
    accesses: tuple[Access, ...]
    takes_psum: bool
    clock: dict[str, int]


class Waits:
    """The waits of instructions, in the order in which they are issued.

    An instruction waits for the latest of each queue that shares a byte with it, one of them writing, or that takes
    rows of PSUM as it does. It does not where its own queue, another wait, or the number of instructions between them
    already says so: no wait is there that follows from the others.

    Parameters
    ----------
    config : CoreConfig
    """

    def __init__(self, config: CoreConfig) -> None:
        self._config = config
        self._issued: list[_Issued] = []
        self._kept = 64
        self._counts = dict.fromkeys(config.queues, 0)
        #: Of the last instructions of each queue, what is complete when they are.
        self._clocks: dict[str, dict[int, dict[str, int]]] = {queue: {} for queue in config.queues}

    def add(self, plain: Instruction) -> dict[str, int]:
        """The waits of the next instruction, by field."""
        queue, takes_psum = plain.queue_name, psum_rows(plain) < 0
        touched = accesses(plain, self._config)
        clock = self._begin(queue)
        waits = {}
        # The latest first: what it waits for has mostly waited for the others.
        for earlier in reversed(self._issued):
            if clock[earlier.queue] >= earlier.number:
                continue
            psum = takes_psum and earlier.takes_psum
            if psum or _conflict(touched, earlier.accesses):
                waits[f"wait_{earlier.queue}"] = self._counts[earlier.queue] - earlier.number + 1
                _join(clock, earlier.clock)
        self._counts[queue] += 1
        number = clock[queue] = self._counts[queue]
        self._clocks[queue][number] = clock
        self._clocks[queue].pop(number - WAIT_MAX - 1, None)
        self._issued.append(_Issued(queue, number, touched, takes_psum, clock))
        if len(self._issued) > 2 * self._kept:
            self._forget()
        return waits

    def _begin(self, queue: str) -> dict[str, int]:
        """What is complete without a wait: the queue's last one, and what has as many behind it as a queue holds."""
        clock = dict.fromkeys(self._counts, 0)
        for other, count in self._counts.items():
            number = count if other == queue else count - WAIT_MAX
            if number > 0:
                _join(clock, self._clocks[other][number])
        return clock

    def _forget(self) -> None:
        """Drop what is complete before whatever comes: nothing will ever wait for it again."""
        clocks = [self._begin(queue) for queue in self._counts]
        known = {queue: min(clock[queue] for clock in clocks) for queue in self._counts}
        self._issued = [issued for issued in self._issued if issued.number > known[issued.queue]]
        self._kept = max(len(self._issued), 64)


def _conflict(touched: tuple[Access, ...], others: tuple[Access, ...]) -> bool:
    """Whether the order of two instructions matters. Most lie far apart: that is asked first."""
    for mine in touched:
        for other in others:
            near = mine.first <= other.last and other.first <= mine.last and mine.space == other.space
            if near and (mine.writes or other.writes) and overlap(mine, other):
                return True
    return False


def _join(clock: dict[str, int], other: dict[str, int]) -> None:
    for queue, number in other.items():
        if number > clock[queue]:
            clock[queue] = number
