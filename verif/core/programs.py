"""Random programs of a core: every kind of instruction, in an order that their waits fix, with the memory they need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arch.core.accesses import Access, accesses
from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import OPCODES, WAIT_MAX, Instruction
from arch.core.program import psum_rows
from golden.core.stores import Memory
from verif.core.draws import Areas, Draws

__all__ = ["RandomProgram", "random_program", "with_waits"]

#: Bytes of each lane that instructions work on, at most: few enough that they meet.
WORK_BYTES = 1024
#: Indices in each lane.
INDICES = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomProgram:
    """A program, and external memory before it.

    program : tuple of Instruction
    data : uint8[BYTES]; written : bool[BYTES], of which what the program writes last is False
    base : int, address of the first byte
    """

    program: tuple[Instruction, ...]
    data: np.ndarray
    written: np.ndarray
    base: int

    def memory(self) -> Memory:
        """Memory of its own, for one run."""
        return Memory(self.data.copy(), self.written.copy(), self.base)


def random_program(
    config: CoreConfig,
    seed: int,
    *,
    length: int = 20,
    work: int = WORK_BYTES,
    base: int = 0,
    kinds: Sequence[str] = tuple(OPCODES),
    indirect: bool = True,
    transposed: bool = True,
) -> RandomProgram:
    """A legal program that reads nothing but what is written, the same for the same arguments.

    It begins by loading a range of every lane from memory, and ends by writing that range out to memory.

    Parameters
    ----------
    length : int
        Instructions between these, at least; a few more where PSUM must be emptied.
    work : int
        Bytes of each lane that they work on, at most half of a lane's; a multiple of 8.
    base : int
        Memory begins at most 16 KiB behind it; a multiple of 4.
    kinds : sequence of str
        What these are. A matmul needs a vector or a scalar, which take its results.
    indirect, transposed : bool
        Whether sides of a dma may be so.

    Raises ValueError for a matmul whose results nothing could take.
    """
    takers = [kind for kind in ("vector", "scalar") if kind in kinds]
    if "matmul" in kinds and not takers:
        raise ValueError(f"kinds must hold vector or scalar beside matmul, not {', '.join(kinds)}")
    rng = np.random.default_rng(seed)
    image = _Image(config, min(work, config.lane_bytes // 2), base, rng)
    draws = Draws(config, image.areas, rng, indirect=indirect, transposed=transposed)
    program = image.loads()
    rows, left = 0, length
    while left > 0 or rows:
        kind = kinds[int(rng.integers(len(kinds)))] if left > 0 else takers[int(rng.integers(len(takers)))]
        left -= 1
        takes = kind in takers and rows and (left <= 0 or rng.random() < 0.6)
        if kind == "matmul" and rows == config.engine.psum_depth:
            continue
        program.append(draws.draw(kind, -rows if takes else rows * (kind == "matmul")))
        rows += psum_rows(program[-1])
    program = with_waits([*program, *image.stores()], config)
    return RandomProgram(program=tuple(program), data=image.data, written=image.written, base=image.base)


class _Image:
    """Memory: indices, then what programs read and write, then what they write last."""

    def __init__(self, config: CoreConfig, work: int, base: int, rng: np.random.Generator) -> None:
        self.config, self.work = config, work
        lanes = config.lanes
        self.base = base + WORD_BYTES * int(rng.integers(1 << 12))
        self._table = self.base
        data = self._table + lanes * INDICES * WORD_BYTES
        self._results = data + lanes * work + 1024
        size = self._results - self.base + lanes * work
        self.data = _random_bytes(size, rng)
        indices = np.stack(
            [rng.permutation(lanes), rng.integers(0, 2 * lanes, lanes), rng.permutation(4 * lanes)[:lanes]], axis=1
        )
        self.data[: indices.size * WORD_BYTES] = indices.astype("<u4").reshape(-1).view(np.uint8)
        self.written = np.arange(size) < self._results - self.base
        # Anywhere in the lanes: programs meet the borders of banks.
        start = WORD_BYTES * int(rng.integers((config.lane_bytes - work) // WORD_BYTES - INDICES + 1))
        sbuf = range(start, start + work)
        self.areas = Areas(sbuf=sbuf, memory=range(data, self._results), index=sbuf.stop)

    def loads(self) -> list[Instruction]:
        """The indices, and half of the range by each of two instructions."""
        table = self._move("source", self._table, self.areas.index, INDICES * WORD_BYTES, INDICES * WORD_BYTES)
        return [table, *self._halves("source", self.areas.memory.start)]

    def stores(self) -> list[Instruction]:
        """The range, half by each of two instructions."""
        return self._halves("sink", self._results)

    def _halves(self, side: str, place: int) -> list[Instruction]:
        half = self.work // 2
        return [
            self._move(
                side, place + start, self.areas.sbuf.start + start, half, self.work, part % self.config.dma_queues
            )
            for part, start in enumerate((0, half))
        ]

    def _move(self, side: str, place: int, address: int, count: int, pitch: int, queue: int = 0) -> Instruction:
        """All lanes, from or to memory."""
        other = "sink" if side == "source" else "source"
        memory = {f"{side}_space": "memory", f"{side}_address": place, f"{side}_pitch": pitch}
        sbuf = {f"{other}_space": "sbuf", f"{other}_address": address}
        words = {"size": str(WORD_BYTES), "count0": count // WORD_BYTES, "queue": queue}
        return Instruction("dma", lanes=self.config.lanes, **words, **memory, **sbuf)


def _random_bytes(size: int, rng: np.random.Generator) -> np.ndarray:
    """uint8[size]: random bits, and between them fp32 and bf16 numbers of which sums and products are no Inf."""
    words = rng.integers(0, 1 << 32, -(-size // 64) * 16, dtype=np.uint32).reshape(-1, 16)
    normal = rng.normal(0, 2, words.shape).astype(np.float32).view(np.uint32)
    kind = rng.integers(4, size=len(words))
    words[kind == 1] = normal[kind == 1]
    pairs = normal[kind == 2]
    words[kind == 2] = pairs >> 16 | pairs & 0xFFFF0000
    rare = rng.random(words.shape) < 0.05
    words[rare] = rng.choice(np.array([0, 1 << 31, 1, 0x80000001, 0x7F800000, 0xFFC00001], np.uint32), rare.sum())
    return words.reshape(-1).view(np.uint8)[:size].copy()


def with_waits(program: Sequence[Instruction], config: CoreConfig) -> list[Instruction]:
    """The same program with waits from overlaps of what encloses the accesses: more than are needed, never less."""
    places = [accesses(instruction, config) for instruction in program]
    queues: dict[str, list[int]] = {queue: [] for queue in config.queues}
    result = []
    for number, instruction in enumerate(program):
        waits = {}
        for queue, numbers in queues.items():
            waits[f"wait_{queue}"] = 0
            if queue == instruction.queue_name:
                continue
            for back, other in enumerate(reversed(numbers[-WAIT_MAX:]), 1):
                both_take = psum_rows(instruction) < 0 and psum_rows(program[other]) < 0
                if both_take or any(_conflict(a, b) for a in places[number] for b in places[other]):
                    waits[f"wait_{queue}"] = back
                    break
        result.append(instruction.replace(**waits))
        queues[instruction.queue_name].append(number)
    return result


def _conflict(a: Access, b: Access) -> bool:
    """Whether the order of two accesses may matter."""
    if a.space != b.space or not (a.writes or b.writes) or a.first > b.last or b.first > a.last:
        return False
    return a.space == "memory" or (a.lane < b.lane + b.lanes and b.lane < a.lane + a.lanes)
