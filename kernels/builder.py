"""Collects the instructions of a program, places tiles in SBUF and derives the waits."""

from collections.abc import Iterator
from dataclasses import dataclass

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, WAIT_MAX, Instruction, encode
from arch.elements import ELEMENTS

__all__ = ["Builder", "Tile"]

_ELEMENTS = tuple(ELEMENTS.values())


@dataclass(frozen=True)
class Tile:
    """A range of bytes in every lane of SBUF."""

    address: int
    bytes: int


@dataclass(frozen=True)
class _Access:
    """Bytes that an instruction may read or write: a range of lanes of SBUF (``lanes``), or of memory (None)."""

    start: int
    stop: int
    lanes: tuple[int, int] | None
    writes: bool

    def conflicts(self, other: "_Access") -> bool:
        """Whether the two must be ordered."""
        if not (self.writes or other.writes) or (self.lanes is None) != (other.lanes is None):
            return False
        if self.lanes and not (self.lanes[0] < other.lanes[1] and other.lanes[0] < self.lanes[1]):
            return False
        return self.start < other.stop and other.start < self.stop


@dataclass(frozen=True)
class _Issued:
    """An instruction of the program so far: its number in its queue, and what is complete when it is."""

    queue: str
    number: int
    accesses: tuple[_Access, ...]
    takes_psum: bool
    clock: dict[str, int]


class Builder:
    """A program in the making.

    Instructions run in the order in which they are issued as far as they depend on each other: the waits that this
    takes are derived from the bytes that they may touch, each taken as the range from its first to its last.

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
        accesses = tuple(_accesses(plain, self.config))
        takes_psum = name in ("vector", "scalar") and plain.x_source == 1
        clock = dict(self._last(queue))
        waits = {}
        # The latest first: what it waits for has mostly waited for the others.
        for earlier in reversed(self._issued):
            if earlier.queue == queue or clock.get(earlier.queue, 0) >= earlier.number:
                continue
            psum = takes_psum and earlier.takes_psum
            if psum or any(mine.conflicts(other) for mine in accesses for other in earlier.accesses):
                back = min(self._counts[earlier.queue] - earlier.number + 1, WAIT_MAX)
                waited = self._counts[earlier.queue] - back + 1
                waits[f"wait_{earlier.queue}"] = back
                for other, number in self._clock(earlier.queue, waited).items():
                    clock[other] = max(clock.get(other, 0), number)
        self._counts[queue] += 1
        clock[queue] = self._counts[queue]
        self._issued.append(_Issued(queue, self._counts[queue], accesses, takes_psum, clock))
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


def _range(address: int, steps: list[tuple[int, int]], size: int) -> tuple[int, int]:
    """First byte and the one after the last of elements at ``address`` plus multiples of (stride, count) each."""
    spans = [stride * (count - 1) for stride, count in steps]
    return address + sum(min(span, 0) for span in spans), address + sum(max(span, 0) for span in spans) + size


def _accesses(instruction: Instruction, config: CoreConfig) -> Iterator[_Access]:
    """What an instruction touches."""
    lanes = (0, instruction.lanes)
    if instruction.name == "dma":
        yield _dma_side(instruction, "source", writes=False)
        yield _dma_side(instruction, "sink", writes=True)
        return
    if instruction.name == "matmul":
        depth, tiles = min(instruction.depth, config.lanes), -(-instruction.depth // config.lanes)
        steps = [(instruction.w_stride, depth), (instruction.w_tile_stride, tiles)]
        yield _Access(*_range(instruction.w_address, steps, _ELEMENTS[instruction.w_type].bytes), lanes, False)
        steps = [(instruction.x_stride0, instruction.count0), (instruction.x_stride1, instruction.count1)]
        steps.append((instruction.x_tile_stride, tiles))
        size = _ELEMENTS[instruction.x_type].bytes
        yield _Access(*_range(instruction.x_address, steps, size), (0, depth), False)
        return
    counts = [instruction.count0, instruction.count1, instruction.count2]

    def pattern(name: str, writes: bool) -> _Access:
        strides = [getattr(instruction, f"{name}_stride{dim}") for dim in range(3)]
        size = _ELEMENTS[getattr(instruction, f"{name}_type")].bytes
        address = getattr(instruction, f"{name}_address")
        return _Access(*_range(address, list(zip(strides, counts, strict=True)), size), lanes, writes)

    if instruction.x_source == 0:
        yield pattern("x", False)
    operands = ("a", "b") if instruction.name == "vector" else ("scale", "bias")
    kinds = [getattr(instruction, f"{name}_kind") for name in operands]
    for name, kind in zip(operands, kinds, strict=True):
        if kind == 1:
            yield _Access(getattr(instruction, name), getattr(instruction, name) + 4, lanes, False)
    if 2 in kinds:
        yield pattern("t", False)
    if instruction.write:
        yield pattern("y", True)
    if instruction.reduce if instruction.name == "vector" else instruction.sum:
        yield _Access(instruction.r_address, instruction.r_address + 4, lanes, True)


def _dma_side(instruction: Instruction, name: str, writes: bool) -> _Access:
    space, address, lane, transposed, pitch, stride = (
        getattr(instruction, f"{name}_{part}") for part in ("space", "address", "lane", "transposed", "pitch", "stride")
    )
    size = 1 << instruction.size
    if space == 1:
        start, stop = _range(address, [(stride, instruction.count1), (size, instruction.count0)], size)
        return _Access(start, stop, (lane, lane + instruction.lanes), writes)
    across, along = (size, pitch) if transposed else (pitch, size)
    steps = [(stride, instruction.count1), (along, instruction.count0), (across, instruction.lanes)]
    return _Access(*_range(address, steps, size), None, writes)
