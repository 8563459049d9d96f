"""Collects the instructions of a program, places tiles in SBUF and derives the waits."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.core.accesses import Access, accesses, conflict
from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, WAIT_MAX, Instruction, encode
from arch.core.program import psum_rows

__all__ = ["Builder", "Tile"]


@dataclass(frozen=True)
class Tile:
    """A range of bytes in every lane of SBUF."""

    address: int
    bytes: int


@dataclass(frozen=True)
class _Issued:
    """An instruction of the program so far: its number in its queue, and what is complete when it is."""

    queue: str
    number: int
    accesses: tuple[Access, ...]
    takes_psum: bool
    clock: dict[str, int]


class Builder:
    """A program in the making.

    Instructions run in the order in which they are issued as far as they depend on each other: the waits that this
    takes are derived from the bytes that they touch.

    Parameters
    ----------
    config : CoreConfig
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        self.instructions: list[Instruction] = []
        self._issued: list[_Issued] = []
        self._kept = 64
        self._counts = dict.fromkeys(config.queues, 0)
        self._taken: list[Tile] = []

    # ---- SBUF -----------------------------------------------------------------------------------

    def tile(self, size: int, bank: int = 0) -> Tile:
        """A free range of ``size`` bytes in every lane, from the start of a bank on if there is one.

        Raises ValueError if SBUF has no such range left.
        """
        size = -(-size // 4) * 4
        start = bank % self.config.banks * self.config.bank_rows * 4
        for first in (start, 0):
            for tile in self._gaps(first):
                if tile.bytes >= size:
                    taken = Tile(tile.address, size)
                    self._taken.append(taken)
                    return taken
        free = sum(tile.bytes for tile in self._gaps(0))
        raise ValueError(
            f"a tile must fit in what is free of {self.config.lane_bytes} bytes a lane, {free}, not {size}"
        )

    def _gaps(self, first: int) -> Iterator[Tile]:
        """What is free from an address on."""
        at = first
        for tile in sorted(self._taken, key=lambda tile: tile.address):
            if tile.address > at:
                yield Tile(at, tile.address - at)
            at = max(at, tile.address + tile.bytes)
        if at < self.config.lane_bytes:
            yield Tile(at, self.config.lane_bytes - at)

    # ---- instructions ---------------------------------------------------------------------------

    def issue(self, name: str, **fields: object) -> None:
        """Append an instruction; its waits are worked out here."""
        plain = Instruction(name, **fields)
        queue = plain.queue_name
        touched = accesses(plain, self.config)
        takes_psum = psum_rows(plain) < 0
        clock = dict(self._last(queue))
        waits = {}
        # The latest first: what it waits for has mostly waited for the others.
        for earlier in reversed(self._issued):
            if earlier.queue == queue or clock.get(earlier.queue, 0) >= earlier.number:
                continue
            psum = takes_psum and earlier.takes_psum
            if psum or any(conflict(mine, other) for mine in touched for other in earlier.accesses):
                back = min(self._counts[earlier.queue] - earlier.number + 1, WAIT_MAX)
                waited = self._counts[earlier.queue] - back + 1
                waits[f"wait_{earlier.queue}"] = back
                for other, number in self._clock(earlier.queue, waited).items():
                    clock[other] = max(clock.get(other, 0), number)
        self._counts[queue] += 1
        clock[queue] = self._counts[queue]
        self._issued.append(_Issued(queue, self._counts[queue], touched, takes_psum, clock))
        self.instructions.append(Instruction(name, **fields, **waits))
        if len(self._issued) > 2 * self._kept:
            self._forget()

    def _forget(self) -> None:
        """Drop the instructions that all queues have waited for: nothing will ever wait for them again."""
        clocks = [self._last(queue) for queue in self._counts]
        known = {queue: min(clock.get(queue, 0) for clock in clocks) for queue in self._counts}
        kept = [i for i in self._issued if i.number > known[i.queue] or i.number == self._counts[i.queue]]
        self._issued, self._kept = kept, max(len(kept), 64)

    def _last(self, queue: str) -> dict[str, int]:
        """What is complete when the queue's last instruction is."""
        return self._clock(queue, self._counts[queue])

    def _clock(self, queue: str, number: int) -> dict[str, int]:
        for issued in reversed(self._issued):
            if (issued.queue, issued.number) == (queue, number):
                return issued.clock
        return {}

    def code(self) -> bytes:
        """The program in memory."""
        return b"".join(encode(instruction) for instruction in self.instructions)

    @property
    def code_bytes(self) -> int:
        """Its size."""
        return INSTRUCTION_BYTES * len(self.instructions)
