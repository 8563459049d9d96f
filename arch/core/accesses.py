"""Where an instruction reads and writes: the bytes of each of its operands, in SBUF and in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import Instruction
from arch.elements import ELEMENTS

__all__ = ["Access", "accesses", "conflict", "overlap"]

#: Two accesses that share more places than this are taken to overlap without a look at each place.
MAX_PLACES = 1 << 28


@dataclass(frozen=True, kw_only=True)
class Access:
    """The elements of an operand.

    Parameters
    ----------
    operand : str
        What the instruction calls it: x, y, source, index.
    space : str
        ``"sbuf"``, where the elements lie alike in each of some lanes, or ``"memory"``.
    address : int
        Byte of the first element, in its lane or in memory.
    size : int
        Bytes of an element, 1, 2 or 4. Address and strides are multiples of it.
    dims : tuple of (int, int)
        Counts and strides in bytes, outermost first; counts are at least 1.
    lane, lanes : int
        In SBUF, the first of the lanes and how many.
    writes : bool
    """

    operand: str
    space: str
    address: int
    size: int
    dims: tuple[tuple[int, int], ...] = ()
    lane: int = 0
    lanes: int = 1
    writes: bool = False

    @cached_property
    def first(self) -> int:
        """The lowest byte."""
        return self.address + sum(min(0, (count - 1) * stride) for count, stride in self.dims)

    @cached_property
    def last(self) -> int:
        """The highest byte."""
        return self.address + sum(max(0, (count - 1) * stride) for count, stride in self.dims) + self.size - 1

    @cached_property
    def steps(self) -> tuple[tuple[int, int], ...]:
        """The dimensions of more than one element, with the strides' sizes, innermost first."""
        steps = [(count, abs(stride)) for count, stride in self.dims if count > 1]
        return tuple(sorted(steps, key=lambda step: step[1]))

    @cached_property
    def is_apart(self) -> bool:
        """Whether no two elements share a byte."""
        span = self.size
        for count, stride in self.steps:
            if stride < span:
                break
            span += (count - 1) * stride
        else:
            return True
        elements, places = prod(count for count, _ in self.dims), (self.last - self.first + 1) // self.size
        return elements <= places <= MAX_PLACES and self.places(self.size).bit_count() == elements

    def places(self, unit: int) -> int:
        """A bit for each ``unit`` bytes from ``first`` on, 1 where an element is; ``unit`` divides ``size``."""
        bits = (1 << self.size // unit) - 1
        for count, stride in self.steps:
            done = 1
            while done < count:
                more = min(done, count - done)
                bits |= bits << more * (stride // unit)
                done += more
        return bits

    def same_place(self, other: "Access") -> bool:
        """Whether each element of one lies exactly where that of the other does."""
        mine, others = (
            (a.space, a.lane, a.lanes, a.address, a.size, [dim for dim in a.dims if dim[0] > 1]) for a in (self, other)
        )
        return mine == others


def overlap(a: Access, b: Access) -> bool:
    """Whether two accesses share a byte."""
    if a.space != b.space or a.first > b.last or b.first > a.last:
        return False
    if a.space == "sbuf" and (a.lane >= b.lane + b.lanes or b.lane >= a.lane + a.lanes):
        return False
    # Elements lie at multiples of their sizes.
    unit = min(a.size, b.size)
    if max(a.last - a.first, b.last - b.first) // unit > MAX_PLACES:
        return True
    first = min(a.first, b.first)
    mine, others = (c.places(unit) << (c.first - first) // unit for c in (a, b))
    return bool(mine & others)


def conflict(a: Access, b: Access) -> bool:
    """Whether the order of two accesses matters: they share a byte, and one writes."""
    return (a.writes or b.writes) and overlap(a, b)


def accesses(instruction: Instruction, config: CoreConfig) -> tuple[Access, ...]:
    """All that a legal instruction reads and writes, PSUM apart.

    An operand of a matmul whose depth is no multiple of the lanes is two: the full tiles, and the rest. An indirect
    side of a dma is every row that an index in range could name.
    """
    return tuple(_ACCESSES[instruction.name](instruction, config))


def _dma(instruction: Instruction, config: CoreConfig) -> Iterator[Access]:
    fields, indirect = instruction.fields, instruction.named("indirect")
    if indirect != "none":
        yield _word(instruction, "index", "index_address")
    size = int(instruction.named("size"))
    for side in ("source", "sink"):
        rows = fields["count1"], fields[f"{side}_stride"]
        common = {"operand": side, "address": fields[f"{side}_address"], "size": size, "writes": side == "sink"}
        if instruction.named(f"{side}_space") == "sbuf":
            lanes = {"lane": fields[f"{side}_lane"], "lanes": fields["lanes"]}
            yield Access(space="sbuf", dims=(rows, (fields["count0"], size)), **lanes, **common)
            continue
        lane_stride, stride = fields[f"{side}_pitch"], size
        if instruction.named(f"{side}_transposed") == "yes":
            lane_stride, stride = stride, lane_stride
        lanes = fields["index_limit"] if side == indirect else fields["lanes"]
        yield Access(space="memory", dims=((lanes, lane_stride), rows, (fields["count0"], stride)), **common)


def _matmul(instruction: Instruction, config: CoreConfig) -> Iterator[Access]:
    fields = instruction.fields
    full, rest = divmod(fields["depth"], config.lanes)
    w, x = (_matmul_operand(instruction, name) for name in "wx")
    moving = (fields["count1"], fields["x_stride1"]), (fields["count0"], fields["x_stride0"])
    if full:
        tile = config.lanes, fields["w_stride"]
        yield Access(dims=((full, fields["w_tile_stride"]), tile), lanes=fields["lanes"], **w)
        yield Access(dims=((full, fields["x_tile_stride"]), *moving), lanes=config.lanes, **x)
    if rest:
        w["address"] += full * fields["w_tile_stride"]
        x["address"] += full * fields["x_tile_stride"]
        yield Access(dims=((1, 0), (rest, fields["w_stride"])), lanes=fields["lanes"], **w)
        yield Access(dims=((1, 0), *moving), lanes=rest, **x)


def _matmul_operand(instruction: Instruction, name: str) -> dict:
    size = ELEMENTS[instruction.named(f"{name}_type")].bytes
    return {"operand": name, "space": "sbuf", "address": instruction.fields[f"{name}_address"], "size": size}


def _vector(instruction: Instruction, config: CoreConfig) -> Iterator[Access]:
    if instruction.named("x_source") == "sbuf":
        yield _pattern(instruction, "x")
    kinds = {name: instruction.named(f"{name}_kind") for name in "ab"}
    for name, kind in kinds.items():
        if kind == "lane":
            yield _word(instruction, name, name)
    if "tensor" in kinds.values():
        yield _pattern(instruction, "t")
    if instruction.named("write") == "yes":
        yield _pattern(instruction, "y", writes=True)
    if instruction.named("reduce") != "none":
        yield _word(instruction, "r", "r_address", writes=True)


def _scalar(instruction: Instruction, config: CoreConfig) -> Iterator[Access]:
    if instruction.named("x_source") == "sbuf":
        yield _pattern(instruction, "x")
    for name in ("scale", "bias"):
        if instruction.named(f"{name}_kind") == "lane":
            yield _word(instruction, name, name)
    if instruction.named("write") == "yes":
        yield _pattern(instruction, "y", writes=True)
    if instruction.named("sum") == "yes":
        yield _word(instruction, "r", "r_address", writes=True)


def _pattern(instruction: Instruction, name: str, writes: bool = False) -> Access:
    """An access pattern over the counts of the instruction."""
    fields = instruction.fields
    return Access(
        operand=name,
        space="sbuf",
        address=fields[f"{name}_address"],
        size=ELEMENTS[instruction.named(f"{name}_type")].bytes,
        dims=tuple((fields[f"count{dim}"], fields[f"{name}_stride{dim}"]) for dim in (2, 1, 0)),
        lanes=fields["lanes"],
        writes=writes,
    )


def _word(instruction: Instruction, operand: str, address: str, writes: bool = False) -> Access:
    """One element of 4 bytes in each lane."""
    fields = instruction.fields
    return Access(
        operand=operand,
        space="sbuf",
        address=fields[address],
        size=WORD_BYTES,
        lanes=fields["lanes"],
        writes=writes,
    )


_ACCESSES = {"dma": _dma, "matmul": _matmul, "vector": _vector, "scalar": _scalar}
